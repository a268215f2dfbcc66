import {
  type BuildInfo,
  FAMILIES,
  type Family,
  type FleetFamily,
  type FleetTotals,
  fleetTotals,
  type HostFamily,
  type JobFamily,
} from './families.ts';
import type { PageCopy } from './fleet-reader.ts';
import type { JobReading } from './job-histogram.ts';
import {
  BUCKET_BOUNDS_SECONDS,
  BUCKET_COUNT,
  JOB_KINDS,
  JOB_STATUSES,
  SERIES_COUNT,
} from './jobs.ts';
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
  const row = LONGEST_NAME + LONGEST_STATUS_LABEL + NUMBER_BYTES;
  let perFamily = 0;
  for (const { page, text } of pages) perFamily += text.length + page.rowCount * row;
  const buildBytes = Buffer.byteLength(build.version + build.commit + build.nodeVersion);
  return FIXED_BYTES + buildBytes * BUILD_LABEL_FACTOR + perFamily * HOST_FAMILIES.length;
}

/** Writes the whole body into `target`, which has room for `expositionBound` bytes; @returns its length */
export function writeExposition(input: ExpositionInput, target: Buffer): number {
  const out = new TextWriter(target);
  const totals = fleetTotals(input.pages);
  for (const family of FAMILIES) {
    out.copy(headers.get(family) as Buffer);
    writeFamily(out, family, input, totals);
  }
  return out.length;
}

function writeFamily(
  out: TextWriter,
  family: Family,
  input: ExpositionInput,
  totals: FleetTotals,
): void {
  switch (family.over) {
    case 'fleet':
      return writeFleetFamily(out, family, totals, input.build);
    case 'hosts':
      return writeHostFamily(out, family, input.pages);
    case 'jobs':
      return writeJobFamily(out, family, input.jobs);
  }
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

function writeHostFamily(out: TextWriter, family: HostFamily, pages: readonly PageCopy[]): void {
  const start = Buffer.from(`${family.name}{`);
  const plainEnd = Buffer.from('} ');
  const { lastLabel } = family;
  const ends = lastLabel?.values.map((value) =>
    Buffer.from(`,${labelText({ [family.labels.at(-1) ?? '']: value })}} `),
  );
  for (const { page, text, textEnds } of pages) {
    let textStart = 0;
    for (let row = 0; row < textEnds.length; row++) {
      const textEnd = textEnds[row] as number;
      const value = family.value(page, row);
      if (!Number.isNaN(value)) {
        out.copy(start);
        out.copyRange(text, textStart, textEnd);
        out.copy(ends?.[lastLabel?.pick(page, row) ?? 0] ?? plainEnd);
        if (family.unit === 'milliseconds') out.milliseconds(value);
        else out.integer(value);
        out.endLine();
      }
      textStart = textEnd;
    }
  }
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

function writeJobFamily(out: TextWriter, family: JobFamily, jobs: JobReading): void {
  const starts = jobRowStarts.get(family) ?? [];
  const rowsPerSeries = BUCKET_COUNT + 2;
  for (let series = 0; series < SERIES_COUNT; series++) {
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
