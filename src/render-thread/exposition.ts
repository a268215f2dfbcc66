import { BUCKET_BOUNDS_SECONDS, BUCKET_COUNT, JOB_KINDS, JOB_STATUSES } from '../contract/jobs.ts';
import {
  type BuildInfo,
  FAMILIES,
  type FleetFamily,
  type FleetSummary,
  HOST_FAMILIES,
  type HostFamily,
  type JobFamily,
} from '../shared/families.ts';
import { PAGE_ROWS } from '../shared/fleet-layout.ts';
import type { PageCopy } from '../shared/fleet-reader.ts';
import type { JobReading } from '../shared/job-histogram.ts';
import { SERVER_FAMILIES, type ServerFamily, type ServerRow } from '../shared/server-families.ts';
import {
  CopyableText,
  copyByEights,
  labelText,
  NUMBER_BYTES,
  type TextWriter,
  writeInteger,
  writeLineFeed,
  writeMilliseconds,
} from '../shared/text-format.ts';

/**
 * What a body shows besides the rows of hosts. The render thread reads it after the scrape has
 * arrived.
 */
export interface ExpositionInput {
  readonly totals: FleetSummary;
  readonly jobs: JobReading;
  readonly build: BuildInfo;
  /** A reading of a `ServerReader`, with the cells of `server-families.ts`. */
  readonly server: Float64Array;
}

const headers = new Map(
  FAMILIES.map((family) => [
    family,
    new CopyableText(
      `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`,
    ),
  ]),
);
const LONGEST_NAME = Math.max(...FAMILIES.map(({ name }) => name.length));
const LONGEST_STATUS_LABEL = 32;
const MAX_TEXT_PART_BYTES = 64 * 1024; // a header with the rows of the fleet, or the histogram of one kind
const BUILD_LABEL_FACTOR = 2; // escaping at most doubles a value

/** Upper bound of the bytes of any text part. A test checks that it is high enough. */
export function textBound({ version, commit, nodeVersion }: BuildInfo): number {
  return (
    MAX_TEXT_PART_BYTES + Buffer.byteLength(version + commit + nodeVersion) * BUILD_LABEL_FACTOR
  );
}

/** Upper bound of the bytes of the rows of one page in one family. */
export function rowsBound({ page, textLength }: PageCopy): number {
  const rest = LONGEST_NAME + LONGEST_STATUS_LABEL + NUMBER_BYTES;
  return textLength + page.rowCount * rest;
}

/**
 * A part that is a text: one or more families, or one kind of the job histogram. It has at most
 * `textBound` bytes.
 */
export interface TextPart {
  /**
   * Whether the text is different in every body, because it contains values such as the CPU time of
   * the process or the number of scrapes.
   */
  readonly isVolatile: boolean;
  /**
   * A number that changes whenever the text does. Undefined if only the text itself can be
   * compared.
   */
  readonly revision: ((input: ExpositionInput) => number) | undefined;
  write(out: TextWriter, input: ExpositionInput): void;
}

/** A part that is all rows of one family over hosts. `writeHostRows` writes them page by page. */
export interface RowsPart {
  readonly familyIndex: number;
}

export type Part = TextPart | RowsPart;

/**
 * The parts of the body, in order. Consecutive families share one text part, except that each kind
 * of the job histogram has a part of its own. A part is compressed again when any of its text
 * changes, and mostly only a few kinds change.
 * @param exclude names of families to leave out of the body
 */
export function expositionParts(exclude: readonly string[] = []): readonly Part[] {
  const parts: Part[] = [];
  let writers: TextPart['write'][] = [];
  let isVolatile = false;
  const endTextPart = (revision?: TextPart['revision']) => {
    const writes = writers;
    writers = [];
    if (writes.length === 0) return;
    parts.push({
      isVolatile,
      revision,
      write(out, input) {
        for (const write of writes) write(out, input);
      },
    });
    isVolatile = false;
  };
  for (const family of FAMILIES) {
    if (exclude.includes(family.name)) continue;
    writers.push((out) => out.copy(headers.get(family) as CopyableText));
    switch (family.over) {
      case 'fleet':
        writers.push((out, { totals, build }) => writeFleetRows(out, family, totals, build));
        break;
      case 'server':
        isVolatile = true;
        writers.push((out, { server }) => writeServerRows(out, family, server));
        break;
      case 'hosts':
        endTextPart();
        parts.push({ familyIndex: HOST_FAMILIES.indexOf(family) });
        break;
      case 'jobs':
        for (const kind of JOB_KINDS.keys()) {
          writers.push((out, { jobs }) => writeJobRows(out, family, kind, jobs));
          // The text part of the first kind also contains the families before it. They change without a
          // finished job, so the number of jobs cannot serve as the revision of that part.
          endTextPart(kind === 0 ? undefined : ({ jobs }) => finishedJobsOfKind(kind, jobs));
        }
    }
  }
  endTextPart();
  return parts;
}

/**
 * The number of finished jobs of one kind. The rows of the kind change exactly when this number
 * does.
 */
function finishedJobsOfKind(kind: number, { counts }: JobReading): number {
  const cells = JOB_STATUSES.length * BUCKET_COUNT;
  let sum = 0;
  for (let cell = kind * cells; cell < (kind + 1) * cells; cell++) sum += counts[cell] as number;
  return sum;
}

function writeFleetRows(
  out: TextWriter,
  family: FleetFamily,
  totals: FleetSummary,
  build: BuildInfo,
): void {
  for (const [values, value] of family.rows(totals, build)) {
    const labels = family.labels.map((name, index) => [name, values[index] ?? '']);
    const text = labelText(Object.fromEntries(labels));
    out.text(text === '' ? `${family.name} ` : `${family.name}{${text}} `);
    out.integer(value);
    out.endLine();
  }
}

const serverRowStarts = new Map<ServerRow, CopyableText>();
for (const { name, rows } of SERVER_FAMILIES) {
  for (const row of rows) {
    const labels = labelText(row.labels);
    const start = labels === '' ? `${name}${row.suffix} ` : `${name}${row.suffix}{${labels}} `;
    serverRowStarts.set(row, new CopyableText(start));
  }
}

function writeServerRows(out: TextWriter, { rows }: ServerFamily, server: Float64Array): void {
  for (const row of rows) {
    const value = server[row.cell] as number;
    if (Number.isNaN(value)) continue;
    out.copy(serverRowStarts.get(row) as CopyableText);
    out.number(value);
    out.endLine();
  }
}

/**
 * The texts that all rows of a family have in common: the start of the row, and the end of its
 * labels for each value of the last label.
 */
const hostRowTexts: readonly HostRowTexts[] = HOST_FAMILIES.map(({ name, labels, lastLabel }) => ({
  start: new CopyableText(`${name}{`),
  ends: (lastLabel?.values ?? ['']).map(
    (value) =>
      new CopyableText(
        lastLabel === undefined ? '} ' : `,${labelText({ [labels.at(-1) ?? '']: value })}} `,
      ),
  ),
}));

const values = new Float64Array(PAGE_ROWS);

/**
 * Writes the rows of one page in one family. `index` is the index of the family in `HOST_FAMILIES`.
 * This is the innermost loop of a render.
 */
export function writeHostRows(out: TextWriter, index: number, copy: PageCopy): void {
  const { page, text, textEnds } = copy;
  const family = HOST_FAMILIES[index] as HostFamily;
  const { start, ends } = hostRowTexts[index] as HostRowTexts;
  const { lastLabel } = family;
  const inMilliseconds = family.unit === 'milliseconds';
  const labelEnds = family.hasInfoLabels ? textEnds : copy.labelEnds;
  const { view } = out;
  family.evaluate(page, 0, page.rowCount, values);
  let end = ends[0] as CopyableText;
  let at = out.length;
  let textStart = 0;
  for (let row = 0; row < page.rowCount; row++) {
    const labelEnd = labelEnds[row] as number;
    if (!Number.isNaN(values[row] as number)) {
      at = copyByEights(start.view, 0, start.length, view, at);
      at = copyByEights(text, textStart, labelEnd, view, at);
      if (lastLabel !== undefined) end = ends[lastLabel.pick(page, row)] as CopyableText;
      at = copyByEights(end.view, 0, end.length, view, at);
      at = inMilliseconds
        ? writeMilliseconds(view, at, values, row)
        : writeInteger(view, at, values, row);
      at = writeLineFeed(view, at);
    }
    textStart = textEnds[row] as number;
  }
  out.length = at;
}

interface HostRowTexts {
  readonly start: CopyableText;
  readonly ends: readonly CopyableText[];
}

/**
 * The starts of all rows of a job family, such as
 * `name_bucket{kind="backup",status="failed",le="1"} `.
 */
const jobRowStarts = new Map<JobFamily, readonly CopyableText[]>();
for (const family of FAMILIES)
  if (family.over === 'jobs') jobRowStarts.set(family, jobRowStartsOf(family));

function jobRowStartsOf(family: JobFamily): CopyableText[] {
  const bounds = [...BUCKET_BOUNDS_SECONDS.map(String), '+Inf'];
  return JOB_KINDS.flatMap((kind) =>
    JOB_STATUSES.flatMap((status) => {
      const labels = labelText({ kind, status });
      return [
        ...bounds.map((le) => `${family.name}_bucket{${labels},le="${le}"} `),
        `${family.name}_sum{${labels}} `,
        `${family.name}_count{${labels}} `,
      ];
    }),
  ).map((text) => new CopyableText(text));
}

function writeJobRows(out: TextWriter, family: JobFamily, kind: number, jobs: JobReading): void {
  const starts = jobRowStarts.get(family) ?? [];
  const rowsPerSeries = BUCKET_COUNT + 2;
  const first = kind * JOB_STATUSES.length;
  for (let series = first; series < first + JOB_STATUSES.length; series++) {
    const rows = starts.slice(series * rowsPerSeries, (series + 1) * rowsPerSeries);
    let count = 0;
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
      count += jobs.counts[series * BUCKET_COUNT + bucket] as number;
      out.copy(rows[bucket] as CopyableText);
      out.integer(count);
      out.endLine();
    }
    out.copy(rows[BUCKET_COUNT] as CopyableText);
    out.milliseconds(jobs.sumsMs[series] as number);
    out.endLine();
    out.copy(rows[BUCKET_COUNT + 1] as CopyableText);
    out.integer(count);
    out.endLine();
  }
}
