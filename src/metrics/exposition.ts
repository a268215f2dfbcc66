import {
  type BuildInfo,
  FAMILIES,
  type FleetFamily,
  type FleetTotals,
  fleetTotals,
  type HostFamily,
  type JobFamily,
} from './families.ts';
import type { PageCopy } from './fleet-reader.ts';
import type { JobReading } from './job-histogram.ts';
import { BUCKET_BOUNDS_SECONDS, BUCKET_COUNT, JOB_KINDS, JOB_STATUSES } from './jobs.ts';
import { labelText, NUMBER_BYTES, TextWriter } from './text-format.ts';

/** What one body shows: readings taken after the scrape was asked for. */
export interface ExpositionInput {
  readonly pages: readonly PageCopy[];
  readonly jobs: JobReading;
  readonly build: BuildInfo;
}

const HOST_FAMILIES = FAMILIES.filter((family) => family.over === 'hosts');
const headers = new Map(
  FAMILIES.map((family) => [
    family,
    Buffer.from(`# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`),
  ]),
);
const LONGEST_NAME = Math.max(...FAMILIES.map(({ name }) => name.length));
const LONGEST_STATUS_LABEL = 32;
const FIXED_BYTES = 64 * 1024; // headers, fleet rows and the histogram; a test holds it to be enough
const BUILD_LABEL_FACTOR = 2; // escaping at most doubles a value

/** Bytes that the body takes at the most. */
export function expositionBound({ pages, build }: ExpositionInput): number {
  let rows = 0;
  for (const page of pages) rows += rowsBound(page);
  const buildBytes = Buffer.byteLength(build.version + build.commit + build.nodeVersion);
  return FIXED_BYTES + buildBytes * BUILD_LABEL_FACTOR + rows * HOST_FAMILIES.length;
}

/** Bytes that the rows of one page in one family take at the most. */
export function rowsBound({ page, text }: PageCopy): number {
  return text.length + page.rowCount * (LONGEST_NAME + LONGEST_STATUS_LABEL + NUMBER_BYTES);
}

/** Takes the body piece by piece, in its order. */
export interface PieceSink {
  /** A small piece that has to be written to be known; `key` names it from one scrape to the next. */
  text(key: string, write: (out: TextWriter) => void): void;
  /** The rows of one page of hosts in one family: `writeHostRows` writes them. */
  rows(family: HostFamily, page: PageCopy): void;
}

/** Hands every piece of the body to `sink`. */
export function composeExposition(input: ExpositionInput, sink: PieceSink): void {
  const totals = fleetTotals(input.pages);
  for (const family of FAMILIES) {
    sink.text(family.name, (out) => {
      out.copy(headers.get(family) as Buffer);
      if (family.over === 'fleet') writeFleetFamily(out, family, totals, input.build);
    });
    if (family.over === 'hosts') for (const page of input.pages) sink.rows(family, page);
    if (family.over !== 'jobs') continue;
    for (const [index, kind] of JOB_KINDS.entries()) {
      sink.text(kind, (out) => writeJobKind(out, family, index, input.jobs));
    }
  }
}

/** Writes the whole body into `target`, which has room for `expositionBound` bytes; @returns its length */
export function writeExposition(input: ExpositionInput, target: Buffer): number {
  const out = new TextWriter(target);
  composeExposition(input, {
    text: (_, write) => write(out),
    rows: (family, page) => writeHostRows(out, family, page),
  });
  return out.length;
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

/** What is the same in each row of a family: its start, and the end of its labels. */
const hostRowParts = new Map(
  HOST_FAMILIES.map(({ name, labels, lastLabel }) => [
    name,
    {
      start: Buffer.from(`${name}{`),
      ends: (lastLabel?.values ?? ['']).map((value) =>
        Buffer.from(
          lastLabel === undefined ? '} ' : `,${labelText({ [labels.at(-1) ?? '']: value })}} `,
        ),
      ),
    },
  ]),
);

export function writeHostRows(out: TextWriter, family: HostFamily, copy: PageCopy): void {
  const { page, text, textEnds } = copy;
  const { start, ends } = hostRowParts.get(family.name) as HostRowParts;
  const { lastLabel } = family;
  let textStart = 0;
  for (let row = 0; row < textEnds.length; row++) {
    const textEnd = textEnds[row] as number;
    const value = family.value(page, row);
    if (!Number.isNaN(value)) {
      out.copy(start);
      out.copyRange(text, textStart, textEnd);
      out.copy(ends[lastLabel === undefined ? 0 : lastLabel.pick(page, row)] as Buffer);
      if (family.unit === 'milliseconds') out.milliseconds(value);
      else out.integer(value);
      out.endLine();
    }
    textStart = textEnd;
  }
}

interface HostRowParts {
  readonly start: Buffer;
  readonly ends: readonly Buffer[];
}

/** `name_bucket{kind="backup",status="failed",le="1"} ` and so on: made once, they never change. */
const jobRowStarts = new Map<JobFamily, readonly Buffer[]>();
for (const family of FAMILIES)
  if (family.over === 'jobs') jobRowStarts.set(family, rowStarts(family));

function rowStarts(family: JobFamily): Buffer[] {
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
  ).map((text) => Buffer.from(text));
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
      out.copy(rows[bucket] as Buffer);
      out.integer(count);
      out.endLine();
    }
    out.copy(rows[BUCKET_COUNT] as Buffer);
    out.milliseconds(jobs.sumsMs[series] as number);
    out.endLine();
    out.copy(rows[BUCKET_COUNT + 1] as Buffer);
    out.integer(count);
    out.endLine();
  }
}
