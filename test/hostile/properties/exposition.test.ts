import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Host } from '../../../src/contract/host.ts';
import { asLabel, hostNameError, labelError } from '../../../src/contract/host-name.ts';
import { JOB_KINDS, JOB_STATUSES } from '../../../src/contract/jobs.ts';
import { FleetTable } from '../../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../../src/shared/job-histogram.ts';
import {
  deriveCells,
  PROCESS_CELL,
  READING_CELLS,
  SERVER_FAMILIES,
} from '../../../src/shared/server-families.ts';
import {
  MESSAGE_TYPES,
  REFUSALS,
  SCRAPE_CODES,
  ServerStats,
  STATS_CELLS,
} from '../../../src/shared/server-stats.ts';
import type { Job } from '../../shared/job-writers.ts';
import { CopyingReader } from '../../support/copying-reader.ts';
import { naiveBody } from '../../support/naive-body.ts';
import {
  type ParsedFamily,
  type ParsedSample,
  parseExposition,
} from '../../support/parse-exposition.ts';

/*
 * A body that a scraper cannot read, or reads as something else, is worse than none: names of hosts and of builds
 * come from outside, and counts are as large as they are.
 */

describe('a body of any fleet, any jobs and any server', () => {
  test('is text format 0.0.4 as strict as the contract has it', () => {
    fc.assert(
      fc.property(anyFleet, anyJobs, anyBuild, anyReading, (hosts, jobs, build, server) => {
        expectStrict(bodyOf(hosts, jobs, build, server));
      }),
      { numRuns: 100 },
    );
  });

  test('shows each host by its name, whatever characters that is made of, and nothing else as a host', () => {
    fc.assert(
      fc.property(anyFleet, (hosts) => {
        const families = expectStrict(bodyOf(hosts, [], BUILD, ZERO));
        const sorted = hosts.toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1));
        for (const [name, valueFor] of Object.entries(HOST_VALUES)) {
          const rows = families.get(name)?.samples.map(({ labels, value }) => {
            return [labels.host_id, labels.host, value];
          });
          const expected = sorted.map((host) => {
            // A lone surrogate has no UTF-8.
            return [host.hostId, host.host.toWellFormed(), valueFor(host)];
          });
          expect(rows).toEqual(expected.filter(([, , value]) => value !== undefined));
        }
        const statuses = families.get('rm_host_repo_status')?.samples;
        expect(
          statuses?.map(({ labels, value }) => [labels.host_id, labels.status, value]),
        ).toEqual(sorted.map(({ hostId, repoStatus }) => [hostId, repoStatus ?? 'unknown', 1]));
        const one = (name: string) => families.get(name)?.samples.map(({ value }) => value);
        expect(one('rm_hosts_total')).toEqual([hosts.length]);
        expect(one('rm_hosts_online')).toEqual([hosts.filter(({ online }) => online).length]);
      }),
      { numRuns: 100 },
    );
  });

  test('shows the build in the very words it was given', () => {
    fc.assert(
      fc.property(anyBuild, (build) => {
        const families = expectStrict(bodyOf([], [], build, ZERO));
        const { version, commit, nodeVersion } = build;
        expect(families.get('rm_build_info')?.samples).toEqual([
          {
            name: 'rm_build_info',
            labels: {
              version: version.toWellFormed(),
              commit: commit.toWellFormed(),
              node_version: nodeVersion.toWellFormed(),
            },
            value: 1,
          },
        ]);
      }),
      { numRuns: 100 },
    );
  });

  test('has the durations of all jobs in histograms that agree with themselves', () => {
    fc.assert(
      fc.property(anyJobs, (jobs) => {
        const families = expectStrict(bodyOf([], jobs, BUILD, ZERO));
        const samples = families.get('rm_job_duration_seconds')?.samples ?? [];
        for (const kind of JOB_KINDS) {
          for (const status of JOB_STATUSES) {
            const ms = jobs
              .filter((job) => job[0] === kind && job[1] === status)
              .map((job) => job[2]);
            const series = samples.filter(
              ({ labels }) => labels.kind === kind && labels.status === status,
            );
            expectHistogram('rm_job_duration_seconds', series, JOB_BOUNDS, ms);
          }
        }
        expect(samples).toHaveLength(27 * (JOB_BOUNDS.length + 3));
      }),
      { numRuns: 100 },
    );
  });
});

describe('what the server counts about itself', () => {
  test('is shown as it was counted, by however many threads', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 100, size: 'max' }), (events) => {
        const stats = ServerStats.create();
        const writers = [stats.writer(), stats.writer(), stats.writer()] as const;
        for (const { by, count } of events) count(writers[by]);
        const server = new Float64Array(READING_CELLS);
        stats.read(server);
        deriveCells(server);
        const families = expectStrict(bodyOf([], [], BUILD, server));
        const counted = (row: string) => events.filter((event) => event.row === row).length;
        for (const family of [
          'rm_agent_messages_total',
          'rm_agent_refusals_total',
          'rm_scrapes_total',
        ]) {
          for (const { labels, value } of families.get(family)?.samples ?? []) {
            expect(value).toBe(counted(`${family} ${Object.values(labels)}`));
          }
        }
        const one = (name: string) => families.get(name)?.samples.map(({ value }) => value);
        for (const family of [
          'rm_scrapes_cut_off_total',
          'rm_store_failures_total',
          'rm_store_forgotten_jobs_total',
        ]) {
          expect(one(family)).toEqual([counted(family)]);
        }
        const [opened, closed] = [counted('connection opened'), counted('connection closed')];
        expect(one('rm_agent_connections')).toEqual([opened - closed]);
        const [submitted, answered] = [counted('submitted'), counted('answered')];
        expect(one('rm_store_pending_operations')).toEqual([Math.max(0, submitted - answered)]);
        for (const name of ['rm_scrape_duration_seconds', 'rm_store_commit_duration_seconds']) {
          const ms = events.flatMap((event) => (event.row === name ? [event.ms ?? 0] : []));
          expectHistogram(name, families.get(name)?.samples ?? [], SERVER_BOUNDS, ms);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('is shown to a millionth, as large as it may be, and has no row where it is unknown', () => {
    fc.assert(
      fc.property(anyReading, (server) => {
        const families = expectStrict(bodyOf([], [], BUILD, server));
        for (const { name, rows } of SERVER_FAMILIES) {
          const values = rows.map(({ cell }) => server[cell] as number);
          const known = values.filter((value) => !Number.isNaN(value));
          const shown = families.get(name)?.samples.map(({ value }) => value) ?? [];
          expect(shown).toHaveLength(known.length);
          for (const [n, value] of known.entries()) {
            const error = Math.abs((shown[n] as number) - value);
            if (Number.isSafeInteger(value)) expect(error).toBe(0);
            // A large double may be as far as that from the next.
            else expect(error).toBeLessThanOrEqual(0.500001e-6 + value * 2 ** -51);
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});

const HELP = /^# HELP ([a-z_0-9]+) ([A-Z][^\\\r\n]*\.)$/u;
const TYPE = /^# TYPE ([a-z_0-9]+) (counter|gauge|histogram)$/u;
const LABEL_VALUE = '"(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
/** A name, labels, one space, and a decimal in its shortest form; no exponent, no timestamp. */
const SAMPLE = new RegExp(
  `^[a-z_0-9]+(?:\\{[a-z_]+=${LABEL_VALUE}(?:,[a-z_]+=${LABEL_VALUE})*\\})? (?:0|-?(?:[1-9][0-9]*|0(?=\\.))(?:\\.[0-9]*[1-9])?)$`,
  'u',
);

/**
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format and section 2 of interfaces.md:
 * lines of three kinds, families and rows sorted, HELP and TYPE once and in this order, and a line feed at the end.
 */
function expectStrict(text: string): Map<string, ParsedFamily> {
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.slice(0, -1).split('\n');
  const names: string[] = [];
  for (const [at, line] of lines.entries()) {
    const [, helped] = HELP.exec(line) ?? [];
    if (helped !== undefined) {
      names.push(helped);
      expect(TYPE.exec(lines[at + 1] ?? '')?.[1]).toBe(helped);
    } else if (!TYPE.test(line)) expect(line).toMatch(SAMPLE);
  }
  expect(lines.filter((line) => TYPE.test(line))).toHaveLength(names.length);
  expect(names).toEqual([...new Set(names)].sort());
  const { families } = parseExposition(text);
  expect([...families.keys()]).toEqual(names);
  for (const [name, { type, samples }] of families) {
    const rows = samples.map(({ labels: { le: _, ...labels } }) =>
      Object.values(labels).join('\0'),
    );
    const inOrder = rows.every((row, at) => at === 0 || (rows[at - 1] as string) <= row);
    expect(inOrder, `${name} is sorted`).toBe(true);
    if (type === 'histogram') expectCumulative(samples);
  }
  return families;
}

/** Of each series: buckets that never fall with rising bounds, `+Inf`, the sum, and the count, equal to `+Inf`. */
function expectCumulative(samples: readonly ParsedSample[]): void {
  let [bound, count, inSeries] = [Number.NEGATIVE_INFINITY, 0, true];
  for (const { name, labels, value } of samples) {
    if (name.endsWith('_bucket')) {
      if (!inSeries) [bound, count, inSeries] = [Number.NEGATIVE_INFINITY, 0, true];
      const le = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
      expect(le).toBeGreaterThan(bound);
      expect(value).toBeGreaterThanOrEqual(count);
      [bound, count] = [le, value];
    } else {
      expect(bound).toBe(Number.POSITIVE_INFINITY);
      if (name.endsWith('_count')) expect(value).toBe(count);
      inSeries = false;
    }
  }
  expect(samples.at(-1)?.name).toMatch(/_count$/);
}

const JOB_BOUNDS = [1, 5, 30, 60, 300, 1_800, 3_600, 21_600, 86_400];
const SERVER_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** One series, counted by hand. */
function expectHistogram(
  name: string,
  series: readonly ParsedSample[],
  bounds: readonly number[],
  durationsMs: readonly number[],
): void {
  const of = (suffix: string) =>
    series.flatMap((sample) => (sample.name === `${name}_${suffix}` ? [sample.value] : []));
  const counts = bounds.map((bound) => durationsMs.filter((ms) => ms / 1_000 <= bound).length);
  expect(of('bucket')).toEqual([...counts, durationsMs.length]);
  expect(of('count')).toEqual([durationsMs.length]);
  const seconds = durationsMs.reduce((total, ms) => total + ms, 0) / 1_000;
  if (durationsMs.every(Number.isInteger)) expect(of('sum')).toEqual([seconds]);
  else expect(Math.abs((of('sum')[0] as number) - seconds)).toBeLessThanOrEqual(0.000001);
}

const BUILD = { version: '0.1.0', commit: 'a1b2c3d', nodeVersion: 'v22.23.3' };
const ZERO = new Float64Array(READING_CELLS);

function bodyOf(
  hosts: readonly Host[],
  jobs: readonly Job[],
  build: typeof BUILD,
  server: Float64Array,
): string {
  const table = new FleetTable();
  for (const host of hosts) table.upsert(host);
  const histogram = JobHistogram.create();
  const writer = histogram.writer();
  for (const job of jobs) writer.observeJob(...job);
  const pages = new CopyingReader(table.buffer).read();
  return naiveBody({ pages, jobs: histogram.read(), build, server });
}

/** Of families with one row a host: its value, or undefined for none. */
const HOST_VALUES: Readonly<Record<string, (host: Host) => number | undefined>> = {
  rm_host_agent_online: ({ online }) => Number(online),
  rm_host_backup_interval_seconds: ({ backupIntervalSeconds }) => backupIntervalSeconds,
  rm_host_info: () => 1,
  rm_host_last_backup_added_bytes: ({ lastBackupAddedBytes }) => lastBackupAddedBytes,
  rm_host_last_backup_duration_seconds: ({ lastBackup }) =>
    lastBackup && (lastBackup.durationMs ?? 0) / 1_000,
  rm_host_last_backup_success_timestamp_seconds: ({ lastBackup, lastBackupSuccessMs }) => {
    const ms = lastBackupSuccessMs ?? (lastBackup?.succeeded ? lastBackup.finishedAtMs : undefined);
    return ms === undefined ? undefined : ms / 1_000;
  },
  rm_host_last_check_success_timestamp_seconds: ({ lastCheckSuccessMs: ms }) =>
    ms === undefined ? undefined : ms / 1_000,
  rm_host_last_backup_success: ({ lastBackup }) => lastBackup && Number(lastBackup.succeeded),
  rm_host_last_backup_timestamp_seconds: ({ lastBackup }) =>
    lastBackup && lastBackup.finishedAtMs / 1_000,
  rm_host_open_alerts: ({ openAlerts = {} }) =>
    Object.values(openAlerts).reduce((total, count) => total + count, 0),
  rm_host_repo_size_bytes: ({ repoSizeBytes }) => repoSizeBytes,
  rm_host_snapshot_count: ({ snapshotCount = 0 }) => snapshotCount,
};

/** What breaks lines and labels, or only seems to, and what no encoding has. */
const anyLabelValue = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom(
      ...'\\"\n\r\t\0{},=# n',
      '\u0085',
      '\u2028',
      '\ud83d',
      '\udc00',
      '\u{1f5c4}',
    ),
    minLength: 1,
    maxLength: 60,
  }),
  fc.constantFrom(
    '\\',
    '\\n',
    '"} 1\n# HELP rm_forged Forged.\n# TYPE rm_forged gauge\nrm_forged 1\n#',
    '",host_id="01J00000000000000000000000',
    '+Inf',
    'NaN',
    '__name__',
    '__proto__',
    '\ufeff',
    '\u202ereversed',
  ),
);

/** As many at the edges as anywhere. */
const anyCount = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 1_000 }),
  fc.constantFrom(0, 1e9, 2 ** 53 - 1),
);
const anyAlerts = fc.oneof(fc.nat({ max: 3 }), fc.constant(2 ** 31 - 1));

const anyInfo = anyLabelValue.map(asLabel).filter((text) => labelError(text) === undefined);

const anyFleet: fc.Arbitrary<Host[]> = fc.uniqueArray(
  fc.record(
    {
      hostId: fc.ulid(),
      host: anyLabelValue.map(asLabel).filter((name) => hostNameError(name) === undefined),
      online: fc.boolean(),
      lastBackup: fc.record({
        finishedAtMs: fc.oneof(fc.maxSafeInteger(), fc.nat(), fc.constantFrom(-1, 0, 1, 1e12)),
        succeeded: fc.boolean(),
        durationMs: anyCount,
      }),
      lastBackupSuccessMs: fc.maxSafeInteger(),
      lastBackupAddedBytes: anyCount,
      lastCheckSuccessMs: fc.maxSafeInteger(),
      backupIntervalSeconds: anyCount,
      agentVersion: anyInfo,
      resticVersion: anyInfo,
      os: anyInfo,
      arch: anyInfo,
      repoSizeBytes: anyCount,
      repoStatus: fc.constantFrom('unknown', 'ready', 'init_failed'),
      snapshotCount: anyCount,
      openAlerts: fc.record({ critical: anyAlerts, info: anyAlerts, warning: anyAlerts }),
    },
    { requiredKeys: ['hostId', 'host', 'online'] },
  ),
  { selector: ({ hostId }) => hostId, maxLength: 150, size: 'max' },
);

const anyJobs: fc.Arbitrary<Job[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...JOB_KINDS),
    fc.constantFrom(...JOB_STATUSES),
    fc.oneof(
      fc.nat(),
      fc.nat({ max: 2 ** 43 }),
      fc.constantFrom(...JOB_BOUNDS.flatMap((bound) => [bound * 1_000, bound * 1_000 + 1])),
    ),
  ),
  { maxLength: 100, size: 'max' },
);

const anyBuild = fc.record({
  version: anyLabelValue,
  commit: anyLabelValue,
  nodeVersion: anyLabelValue,
});

interface CountedEvent {
  /** Which row counts it. */
  readonly row: string;
  readonly by: 0 | 1 | 2;
  readonly ms?: number;
  readonly count: (writer: ReturnType<ServerStats['writer']>) => void;
}

const anyMs = fc.oneof(
  fc.nat({ max: 20_000 }),
  fc.double({ min: 0, max: 10_000, noNaN: true }),
  fc.constantFrom(...SERVER_BOUNDS.map((bound) => bound * 1_000)),
);
const anyEvent: fc.Arbitrary<CountedEvent> = fc
  .tuple(
    fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    fc.oneof<fc.Arbitrary<Omit<CountedEvent, 'by'>>[]>(
      fc.constantFrom(...MESSAGE_TYPES).map((type) => ({
        row: `rm_agent_messages_total ${type}`,
        count: (writer) => writer.message(type),
      })),
      fc.constantFrom(...REFUSALS).map((reason) => ({
        row: `rm_agent_refusals_total ${reason}`,
        count: (writer) => writer.refusal(reason),
      })),
      fc.constantFrom(...SCRAPE_CODES).map((code) => ({
        row: `rm_scrapes_total ${code}`,
        count: (writer) => writer.scrape(code),
      })),
      anyMs.map((ms) => ({
        row: 'rm_scrape_duration_seconds',
        ms,
        count: (writer) => writer.scrapeDuration(ms),
      })),
      anyMs.map((ms) => ({
        row: 'rm_store_commit_duration_seconds',
        ms,
        count: (writer) => writer.commitDuration(ms),
      })),
      fc.constantFrom<Omit<CountedEvent, 'by'>>(
        { row: 'rm_store_failures_total', count: (writer) => writer.storeFailure() },
        { row: 'rm_store_forgotten_jobs_total', count: (writer) => writer.forgottenJobs(1) },
        { row: 'rm_scrapes_cut_off_total', count: (writer) => writer.scrapeCutOff() },
        { row: 'connection opened', count: (writer) => writer.connection(1) },
        { row: 'connection closed', count: (writer) => writer.connection(-1) },
        { row: 'submitted', count: (writer) => writer.submitted(1) },
        { row: 'answered', count: (writer) => writer.answered(1) },
      ),
    ),
  )
  .map(([by, event]) => ({ ...event, by }));

/** From 1e21 on, JavaScript itself has no decimals; no process counts so far. */
const anyCell = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 1_000 }),
  fc.double({ min: 0, max: 1e4, noNaN: true }),
  fc.double({ min: 0, max: 1e20, noNaN: true }),
  fc.constantFrom(0, 5e-324, 1e-7, 0.0000005, 0.1 + 0.2, 2 ** 53, 1e20, 1_763_632_700.125),
);
const maybeUnknown = fc.oneof(anyCell, fc.constant(Number.NaN));
const anyReading: fc.Arbitrary<Float64Array> = fc
  .record({
    cells: fc.array(anyCell, { minLength: STATS_CELLS, maxLength: STATS_CELLS }),
    cpuSeconds: anyCell,
    residentBytes: anyCell,
    startTimeSeconds: anyCell,
    openFds: maybeUnknown,
    maxFds: maybeUnknown,
  })
  .map(({ cells, ...process }) => {
    const reading = new Float64Array(READING_CELLS);
    reading.set(cells);
    for (const [name, value] of Object.entries(process)) {
      reading[PROCESS_CELL[name as keyof typeof process]] = value;
    }
    deriveCells(reading);
    return reading;
  });
