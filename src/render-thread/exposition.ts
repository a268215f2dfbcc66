import { BUCKET_BOUNDS_SECONDS, BUCKET_COUNT, JOB_KINDS, JOB_STATUSES } from '../contract/jobs.ts';
import {
  type BuildInfo,
  FAMILIES,
  type FleetFamily,
  type FleetTotals,
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

/** What one body shows besides the hosts: readings taken after the scrape was asked for. */
export interface ExpositionInput {
  readonly totals: FleetTotals;
  readonly jobs: JobReading;
  readonly build: BuildInfo;
  /** The cells of `server-families.ts`. */
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
const SMALL_PIECE_BYTES = 64 * 1024; // a header with the rows of the fleet, or the histogram of one kind
const BUILD_LABEL_FACTOR = 2; // escaping at most doubles a value

/** Bytes that a piece takes at the most that is not the rows of a page. A test holds it to be enough. */
export function textBound({ version, commit, nodeVersion }: BuildInfo): number {
  return SMALL_PIECE_BYTES + Buffer.byteLength(version + commit + nodeVersion) * BUILD_LABEL_FACTOR;
}

/** Bytes that the rows of one page in one family take at the most. */
export function rowsBound({ page, textLength }: PageCopy): number {
  const rest = LONGEST_NAME + LONGEST_STATUS_LABEL + NUMBER_BYTES;
  return textLength + page.rowCount * rest;
}

/** A part of the body that has to be written to be known; it takes `textBound` bytes at the most. */
export interface TextPart {
  /** Whether it is other in each body, since the CPU time of the process or the number of scrapes is in it. */
  readonly isVolatile: boolean;
  /** A number that is another one whenever the text is; undefined where only the text itself tells. */
  readonly revision: ((input: ExpositionInput) => number) | undefined;
  write(out: TextWriter, input: ExpositionInput): void;
}

/** All rows in the family over hosts with that index, which `writeHostRows` writes page by page. */
export interface RowsPart {
  readonly rows: number;
}

export type Part = TextPart | RowsPart;

/**
 * The body in its order. Families that follow one another are one part: each part that changed is compressed on
 * its own. Only each kind of the job histogram is a part, since mostly few of them change.
 * @param exclude names of families that the body does not show
 */
export function expositionParts(exclude: readonly string[] = []): readonly Part[] {
  const parts: Part[] = [];
  let texts: TextPart['write'][] = [];
  let isVolatile = false;
  const endText = (revision?: TextPart['revision']) => {
    const writes = texts;
    texts = [];
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
    texts.push((out) => out.copy(headers.get(family) as CopyableText));
    switch (family.over) {
      case 'fleet':
        texts.push((out, { totals, build }) => writeFleetFamily(out, family, totals, build));
        break;
      case 'server':
        isVolatile = true;
        texts.push((out, { server }) => writeServerFamily(out, family, server));
        break;
      case 'hosts':
        endText();
        parts.push({ rows: HOST_FAMILIES.indexOf(family) });
        break;
      case 'jobs':
        for (const kind of JOB_KINDS.keys()) {
          texts.push((out, { jobs }) => writeJobKind(out, family, kind, jobs));
          // With the first kind are families before it, which change without a job.
          endText(kind === 0 ? undefined : ({ jobs }) => countOfKind(kind, jobs));
        }
    }
  }
  endText();
  return parts;
}

/** Jobs of the kind that finished: the rows of the kind change when this does. */
function countOfKind(kind: number, { counts }: JobReading): number {
  const cells = JOB_STATUSES.length * BUCKET_COUNT;
  let sum = 0;
  for (let cell = kind * cells; cell < (kind + 1) * cells; cell++) sum += counts[cell] as number;
  return sum;
}

function writeFleetFamily(
  out: TextWriter,
  family: FleetFamily,
  totals: FleetTotals,
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

function writeServerFamily(out: TextWriter, { rows }: ServerFamily, server: Float64Array): void {
  for (const row of rows) {
    const value = server[row.cell] as number;
    if (Number.isNaN(value)) continue;
    out.copy(serverRowStarts.get(row) as CopyableText);
    out.number(value);
    out.endLine();
  }
}

/** What is the same in each row of a family: its start, and the end of its labels. */
const hostRowParts: readonly HostRowParts[] = HOST_FAMILIES.map(({ name, labels, lastLabel }) => ({
  start: new CopyableText(`${name}{`),
  ends: (lastLabel?.values ?? ['']).map(
    (value) =>
      new CopyableText(
        lastLabel === undefined ? '} ' : `,${labelText({ [labels.at(-1) ?? '']: value })}} `,
      ),
  ),
}));

const values = new Float64Array(PAGE_ROWS);

/** Writes the rows of one page in the family over hosts with that index. The innermost loop of a render. */
export function writeHostRows(out: TextWriter, index: number, copy: PageCopy): void {
  const { page, text, textEnds } = copy;
  const family = HOST_FAMILIES[index] as HostFamily;
  const { start, ends } = hostRowParts[index] as HostRowParts;
  const { lastLabel } = family;
  const inMilliseconds = family.unit === 'milliseconds';
  const { view } = out;
  family.evaluate(page, 0, page.rowCount, values);
  let end = ends[0] as CopyableText;
  let at = out.length;
  let textStart = 0;
  for (let row = 0; row < page.rowCount; row++) {
    const textEnd = textEnds[row] as number;
    if (!Number.isNaN(values[row] as number)) {
      at = copyByEights(start.view, 0, start.length, view, at);
      at = copyByEights(text, textStart, textEnd, view, at);
      if (lastLabel !== undefined) end = ends[lastLabel.pick(page, row)] as CopyableText;
      at = copyByEights(end.view, 0, end.length, view, at);
      at = inMilliseconds
        ? writeMilliseconds(view, at, values, row)
        : writeInteger(view, at, values, row);
      at = writeLineFeed(view, at);
    }
    textStart = textEnd;
  }
  out.length = at;
}

interface HostRowParts {
  readonly start: CopyableText;
  readonly ends: readonly CopyableText[];
}

/** `name_bucket{kind="backup",status="failed",le="1"} ` and so on: made once, they never change. */
const jobRowStarts = new Map<JobFamily, readonly CopyableText[]>();
for (const family of FAMILIES)
  if (family.over === 'jobs') jobRowStarts.set(family, rowStarts(family));

function rowStarts(family: JobFamily): CopyableText[] {
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

function writeJobKind(out: TextWriter, family: JobFamily, kind: number, jobs: JobReading): void {
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
