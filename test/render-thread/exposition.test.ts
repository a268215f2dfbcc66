import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Host, REPO_STATUSES, SEVERITIES } from '../../src/contract/host.ts';
import { hostNameError, labelError } from '../../src/contract/host-name.ts';
import { BUCKET_COUNT, JOB_KINDS, JOB_STATUSES, SERIES_COUNT } from '../../src/contract/jobs.ts';
import { type BuildInfo, FAMILIES } from '../../src/shared/families.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import {
  deriveCells,
  PROCESS_CELL,
  READING_CELLS,
  SERVER_FAMILIES,
} from '../../src/shared/server-families.ts';
import {
  API_CODES,
  API_REFUSALS,
  CELL,
  DURATION_BOUNDS_SECONDS,
  DURATION_SUM,
  MESSAGE_TYPES,
  REFUSALS,
  REPORT_CODES,
  SCRAPE_CODES,
  ServerStats,
} from '../../src/shared/server-stats.ts';
import type { Job } from '../shared/job-writers.ts';
import { CopyingReader } from '../support/copying-reader.ts';
import { type BodyInput, naiveBody } from '../support/naive-body.ts';
import { type ParsedSample, parseExposition } from '../support/parse-exposition.ts';
import { ulidOf } from '../support/ulid.ts';

const BUILD: BuildInfo = { version: '0.1.0', commit: 'a1b2c3d', nodeVersion: 'v22.23.3' };

/** By no means in the order in which they are shown. */
const GOLDEN_HOSTS: readonly Host[] = [
  {
    hostId: '01J9ZZZZZZZZZZZZZZZZZZZZZZ',
    host: 'büro-東京-🗄',
    online: true,
    lastBackup: { finishedAtMs: 1_763_632_803_050, succeeded: true, durationMs: 93_500 },
    lastBackupAddedBytes: 1_048_577,
    lastCheckSuccessMs: 1_763_600_000_250,
    backupIntervalSeconds: 86_400,
    agentVersion: '1.4.0 "nightly"',
    resticVersion: '0.18.1',
    os: 'linux',
    arch: 'amd64',
    repoSizeBytes: Number.MAX_SAFE_INTEGER,
    repoStatus: 'ready',
    snapshotCount: 1_234_567_890,
    openAlerts: { critical: 1, info: 2, warning: 3 },
  },
  {
    hostId: '01J0A1B2C3D4E5F6G7H8J9K0MN',
    host: 'win "srv" C:\\backup',
    online: false,
    lastBackup: { finishedAtMs: 1_763_632_800_000, succeeded: false, durationMs: 0 },
    lastBackupSuccessMs: 1_763_546_400_000,
    lastBackupAddedBytes: 0,
    resticVersion: '0.17.3',
    repoStatus: 'init_failed',
    openAlerts: { critical: 1, warning: 2 },
  },
  {
    hostId: '01J0A1B2C3D4E5F6G7H8J9K0MP',
    host: 'no line feed: \\n, \\\\n',
    online: true,
    reportsByHttp: true,
    openAlerts: { info: 1 },
  },
  {
    hostId: '01K0000000000000000000000A',
    host: 'neither: \\',
    online: false,
    lastBackup: { finishedAtMs: 1_763_632_803_123, succeeded: false },
    repoSizeBytes: 0,
    repoStatus: 'unknown',
    snapshotCount: 5,
    openAlerts: {},
  },
  {
    hostId: '01HZX3V9K2M4N6P8Q0R2S4T6V8',
    host: 'db-1.example',
    online: true,
    lastBackup: { finishedAtMs: 1_763_632_803_500, succeeded: true },
    repoSizeBytes: 52_428_800,
    repoStatus: 'ready',
    snapshotCount: 17,
  },
];

const GOLDEN_JOBS: readonly Job[] = [
  ['update', 'failed', 5_000],
  ['backup', 'succeeded', 90_000_000],
  ['prune', 'cancelled', -5],
  ['backup', 'succeeded', 1_000],
  ['check', 'succeeded', 3_600_000],
  ['backup', 'failed', 250],
  ['restore', 'succeeded', 2 ** 32 + 600],
  ['backup', 'succeeded', 61_500],
  ['check', 'succeeded', 3_600_000],
  ['backup', 'succeeded', 1_001],
  ['update', 'failed', 5_000.9],
];

/** Counted by two threads; one duration is on a bound, and one above all of them. */
function goldenServer(): Float64Array {
  const stats = ServerStats.create();
  const [main, loop] = [stats.writer(), stats.writer()];
  const times = (count: number, act: () => void) => {
    for (let n = 0; n < count; n++) act();
  };
  times(3, () => main.connection(1));
  times(2, () => loop.connection(1));
  main.connection(-1);
  times(20, () => main.message('heartbeat'));
  times(1, () => loop.message('heartbeat'));
  times(2, () => loop.message('hello'));
  times(5, () => main.message('job.finished'));
  times(6, () => main.message('job.started'));
  times(3, () => loop.message('other'));
  times(9, () => main.refusal('unauthorized'));
  times(8, () => loop.refusal('bad_message'));
  times(1, () => loop.refusal('replaced'));
  times(2, () => main.report(200));
  times(4, () => loop.report(413));
  times(11, () => main.scrape(200));
  times(7, () => main.scrape(401));
  times(1, () => main.scrape(503));
  for (const ms of [0.4, 1, 1.5, 75, 6_000]) main.scrapeDuration(ms);
  for (const ms of [4.25, 4.25, 700]) loop.commitDuration(ms);
  times(2, () => loop.storeFailure());
  times(4, () => main.scrapeCutOff());
  main.forgottenJobs(10);
  loop.forgottenJobs(5);
  main.submitted(10);
  loop.submitted(3);
  loop.answered(9);
  main.loopHealth({ lagSeconds: 0.000125, lagP99Seconds: 0.0105, heapUsedBytes: 23_456_789 });
  const reading = new Float64Array(READING_CELLS);
  stats.read(reading);
  reading[PROCESS_CELL.cpuSeconds] = 1_234.567891;
  reading[PROCESS_CELL.residentBytes] = 123_456_789;
  reading[PROCESS_CELL.startTimeSeconds] = 1_763_632_700.125;
  reading[PROCESS_CELL.openFds] = 31;
  reading[PROCESS_CELL.maxFds] = 1_048_576;
  deriveCells(reading);
  return reading;
}

describe('the body', () => {
  it('of a small fleet is the golden one', () => {
    const golden = readFileSync(new URL('./exposition.golden.txt', import.meta.url), 'utf8');
    expect(expose(GOLDEN_HOSTS, GOLDEN_JOBS, BUILD, goldenServer())).toBe(golden);
  });

  it('has no row of what the system does not tell, but its header', () => {
    const server = goldenServer();
    server[PROCESS_CELL.openFds] = Number.NaN;
    server[PROCESS_CELL.maxFds] = Number.NaN;
    const { families } = parseExposition(expose([], [], BUILD, server));
    expect(families.get('process_open_fds')?.samples).toEqual([]);
    expect(families.get('process_max_fds')?.samples).toEqual([]);
    expect(families.get('process_resident_memory_bytes')?.samples).toHaveLength(1);
  });

  it('is the same bytes whatever the order in which the state came about', () => {
    const golden = expose(GOLDEN_HOSTS, GOLDEN_JOBS);
    const input = inputOf(GOLDEN_HOSTS, GOLDEN_JOBS);
    expect(naiveBody(input)).toBe(naiveBody(input));
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...GOLDEN_HOSTS], { minLength: GOLDEN_HOSTS.length }),
        fc.shuffledSubarray([...GOLDEN_JOBS], { minLength: GOLDEN_JOBS.length }),
        fc.subarray([...GOLDEN_HOSTS]),
        (hosts, jobs, detour) => {
          const table = new FleetTable();
          for (const host of detour) table.upsert({ ...host, host: 'first name', online: true });
          for (const { hostId } of detour.slice(1)) table.remove(hostId);
          for (const host of hosts) table.upsert(host);
          const histogram = JobHistogram.create();
          const writers = [histogram.writer(), histogram.writer()];
          for (const [n, job] of jobs.entries()) writers[n % 2]?.observeJob(...job);
          const pages = new CopyingReader(table.buffer).read();
          expect(naiveBody({ pages, jobs: histogram.read(), build: BUILD })).toBe(golden);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('without hosts and jobs has every header, all 27 series at zero, and the rest at zero', () => {
    const { families } = parseExposition(expose([], []));
    expect([...families.keys()]).toEqual(CONTRACT.map(([name]) => name));
    const server = new Set(SERVER_FAMILIES.map(({ name }) => name));
    const rowsOf = (wanted: (name: string) => boolean) =>
      [...families].flatMap(([name, { samples }]) => (wanted(name) ? samples : []));
    const jobs = rowsOf((name) => name === 'rm_job_duration_seconds');
    expect(rowsOf((name) => name !== 'rm_job_duration_seconds' && !server.has(name))).toEqual([
      { name: 'rm_active_alerts', labels: { severity: 'critical' }, value: 0 },
      { name: 'rm_active_alerts', labels: { severity: 'info' }, value: 0 },
      { name: 'rm_active_alerts', labels: { severity: 'warning' }, value: 0 },
      {
        name: 'rm_build_info',
        labels: { version: '0.1.0', commit: 'a1b2c3d', node_version: 'v22.23.3' },
        value: 1,
      },
      { name: 'rm_hosts_online', labels: {}, value: 0 },
      { name: 'rm_hosts_pending', labels: {}, value: 0 },
      { name: 'rm_hosts_total', labels: {}, value: 0 },
      { name: 'rm_shard', labels: { shard: '0', shards: '1' }, value: 1 },
    ]);
    expect(jobs).toHaveLength(27 * 12);
    expect(jobs.every(({ value }) => value === 0)).toBe(true);
    expect(rowsOf((name) => server.has(name)).every(({ value }) => value === 0)).toBe(true);
    const rowCounts = [...server].map((name) => [name, families.get(name)?.samples.length]);
    expect(Object.fromEntries(rowCounts.filter(([, count]) => count !== 1))).toEqual({
      rm_agent_messages_total: 6,
      rm_agent_refusals_total: REFUSALS.length,
      rm_agent_requests_total: REPORT_CODES.length,
      rm_api_refusals_total: API_REFUSALS.length,
      rm_api_request_duration_seconds: 11,
      rm_api_requests_total: API_CODES.length,
      rm_scrape_duration_seconds: 11,
      rm_scrapes_total: 5,
      rm_store_commit_duration_seconds: 11,
    });
  });

  it('read back by a parser is any fleet and any jobs it was made from', () => {
    fc.assert(
      fc.property(anyFleet, anyJobs, anyBuild, anyServer, (hosts, jobs, build, server) => {
        const { families } = parseExposition(expose(hosts, jobs, build, server));
        const rows = [...families].map(([name, { samples }]) => [name, samples]);
        const expected = { ...plainRows(hosts, jobs, build), ...plainServerRows(server) };
        expect(rows).toEqual(CONTRACT.map(([name]) => [name, expected[name]]));
      }),
      { numRuns: 50 },
    );
  });
});

/** Section 2 of interfaces.md and what docs/prometheus.md adds, in the order of the body. */
const CONTRACT = [
  ['nodejs_eventloop_lag_p99_seconds', 'gauge', ''],
  ['nodejs_eventloop_lag_seconds', 'gauge', ''],
  ['nodejs_heap_size_used_bytes', 'gauge', ''],
  ['process_cpu_seconds_total', 'counter', ''],
  ['process_max_fds', 'gauge', ''],
  ['process_open_fds', 'gauge', ''],
  ['process_resident_memory_bytes', 'gauge', ''],
  ['process_start_time_seconds', 'gauge', ''],
  ['rm_active_alerts', 'gauge', 'severity'],
  ['rm_agent_connections', 'gauge', ''],
  ['rm_agent_messages_total', 'counter', 'type'],
  ['rm_agent_refusals_total', 'counter', 'reason'],
  ['rm_agent_requests_total', 'counter', 'code'],
  ['rm_api_refusals_total', 'counter', 'reason'],
  ['rm_api_request_duration_seconds', 'histogram', ''],
  ['rm_api_requests_total', 'counter', 'code'],
  ['rm_build_info', 'gauge', 'version,commit,node_version'],
  ['rm_host_agent_online', 'gauge', 'host_id,host'],
  ['rm_host_agent_reports_by_http', 'gauge', 'host_id,host'],
  ['rm_host_backup_interval_seconds', 'gauge', 'host_id,host'],
  ['rm_host_info', 'gauge', 'host_id,host,agent_version,restic_version,os,arch'],
  ['rm_host_last_backup_added_bytes', 'gauge', 'host_id,host'],
  ['rm_host_last_backup_duration_seconds', 'gauge', 'host_id,host'],
  ['rm_host_last_backup_success', 'gauge', 'host_id,host'],
  ['rm_host_last_backup_success_timestamp_seconds', 'gauge', 'host_id,host'],
  ['rm_host_last_backup_timestamp_seconds', 'gauge', 'host_id,host'],
  ['rm_host_last_check_success_timestamp_seconds', 'gauge', 'host_id,host'],
  ['rm_host_open_alerts', 'gauge', 'host_id,host'],
  ['rm_host_repo_size_bytes', 'gauge', 'host_id,host'],
  ['rm_host_repo_status', 'gauge', 'host_id,host,status'],
  ['rm_host_snapshot_count', 'gauge', 'host_id,host'],
  ['rm_hosts_online', 'gauge', ''],
  ['rm_hosts_pending', 'gauge', ''],
  ['rm_hosts_total', 'gauge', ''],
  ['rm_job_duration_seconds', 'histogram', 'kind,status'],
  ['rm_scrape_duration_seconds', 'histogram', ''],
  ['rm_scrapes_cut_off_total', 'counter', ''],
  ['rm_scrapes_total', 'counter', 'code'],
  ['rm_shard', 'gauge', 'shard,shards'],
  ['rm_store_commit_duration_seconds', 'histogram', ''],
  ['rm_store_failures_total', 'counter', ''],
  ['rm_store_forgotten_jobs_total', 'counter', ''],
  ['rm_store_pending_operations', 'gauge', ''],
] as const;

describe('families', () => {
  it('have the names, types and labels of the contract', () => {
    expect(FAMILIES.map(({ name, type, labels }) => [name, type, labels.join()])).toEqual(CONTRACT);
  });

  it('are sorted by name, byte by byte', () => {
    const names = FAMILIES.map(({ name }) => name);
    expect(names).toEqual(names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  });

  it('have a help text that needs no escapes', () => {
    for (const { help } of FAMILIES) expect(help).toMatch(/^[A-Z][^\\\n]+\.$/);
  });

  it('show the labels of the contract, in this order, in every row', () => {
    const { families } = parseExposition(expose(GOLDEN_HOSTS, GOLDEN_JOBS));
    for (const [name, type, labels] of CONTRACT) {
      const family = families.get(name);
      expect(family?.type).toBe(type);
      expect(family?.samples.length).toBeGreaterThan(0);
      for (const sample of family?.samples ?? []) {
        const le = sample.name.endsWith('_bucket') ? ['le'] : [];
        expect(Object.keys(sample.labels)).toEqual([...labels.split(',').filter(Boolean), ...le]);
      }
    }
  });
});

describe('the room that a body takes', () => {
  const widestRow = {
    online: true,
    reportsByHttp: true,
    lastBackup: {
      finishedAtMs: -Number.MAX_SAFE_INTEGER,
      succeeded: true,
      durationMs: Number.MAX_SAFE_INTEGER,
    },
    lastBackupSuccessMs: -Number.MAX_SAFE_INTEGER,
    lastCheckSuccessMs: -Number.MAX_SAFE_INTEGER,
    lastBackupAddedBytes: Number.MAX_SAFE_INTEGER,
    backupIntervalSeconds: Number.MAX_SAFE_INTEGER,
    repoSizeBytes: Number.MAX_SAFE_INTEGER,
    repoStatus: 'init_failed',
    snapshotCount: Number.MAX_SAFE_INTEGER,
    openAlerts: { critical: 2 ** 31 - 1, info: 2 ** 31 - 1, warning: 2 ** 31 - 1 },
  } as const;
  const widestJobs = {
    // Cumulated they end at 2^53 - 6.
    counts: new Float64Array(SERIES_COUNT * BUCKET_COUNT).fill(Math.floor(2 ** 53 / 10)),
    sumsMs: new Float64Array(SERIES_COUNT).fill(Number.MAX_SAFE_INTEGER),
  };
  // The longest that is written without an exponent.
  const widestServer = new Float64Array(READING_CELLS).fill(-1e20);
  // All characters to escape, so that no room of the build's is left over for the others.
  const widestBuild = {
    version: '"'.repeat(50_000),
    commit: '\n'.repeat(50_000),
    nodeVersion: '\\'.repeat(50_000),
  };

  it.each([
    ['characters of four bytes', '🗄'.repeat(255)],
    ['backslashes', '\\'.repeat(255)],
    ['quotes', '"'.repeat(255)],
    ['one character', 'a'],
  ])('is within the bound when all is as wide as can be and names are %s', (_, host) => {
    const hosts = Array.from({ length: 300 }, (_, n) => ({
      ...widestRow,
      hostId: ulidOf(n),
      host,
      agentVersion: host,
      resticVersion: host,
      os: host,
      arch: host,
    }));
    const { pages } = inputOf(hosts, []);
    const text = naiveBody({ pages, jobs: widestJobs, build: widestBuild, server: widestServer });
    const { families } = parseExposition(text);
    expect(families.get('rm_host_repo_status')?.samples).toHaveLength(300);
    expect(text).toContain('rm_job_duration_seconds_sum{kind="update",status="succeeded"} 900719');
    expect(text).toContain('rm_store_pending_operations -100000000000000000000\n');
  });

  it.each([
    ['empty', ''],
    ['characters to escape', '"'.repeat(50_000)],
    ['characters of three bytes', '東'.repeat(50_000)],
    ['characters of four bytes', '🗄'.repeat(50_000)],
  ])('is within the bound without any host and the build is %s', (_, text) => {
    const { pages } = inputOf([], []);
    const build = { version: text, commit: text, nodeVersion: text };
    naiveBody({ pages, jobs: widestJobs, build, server: widestServer });
  });

  it('is within the bound for any fleet', () => {
    fc.assert(
      fc.property(anyFleet, anyBuild, (hosts, build) => {
        const { pages } = inputOf(hosts, []);
        naiveBody({ pages, jobs: widestJobs, build, server: widestServer });
      }),
      { numRuns: 50 },
    );
  });
});

const label = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.string({ unit: 'binary', maxLength: 255, size: 'max' }),
    fc.string({ unit: fc.constantFrom('\\', '"', 'n', '🗄'), maxLength: 255, size: 'max' }),
  )
  .filter((text) => labelError(text) === undefined);

const anyFleet: fc.Arbitrary<Host[]> = fc.uniqueArray(
  fc
    .record({
      hostId: fc.ulid(),
      host: label.filter((text) => hostNameError(text) === undefined),
      online: fc.boolean(),
      reportsByHttp: fc.boolean(),
      lastBackup: fc.option(
        fc.record(
          {
            finishedAtMs: fc.maxSafeInteger(),
            succeeded: fc.boolean(),
            durationMs: fc.maxSafeNat(),
          },
          { requiredKeys: ['finishedAtMs', 'succeeded'] },
        ),
      ),
      lastBackupSuccessMs: fc.option(fc.maxSafeInteger()),
      lastCheckSuccessMs: fc.option(fc.maxSafeInteger()),
      lastBackupAddedBytes: fc.option(fc.maxSafeNat()),
      backupIntervalSeconds: fc.option(fc.maxSafeNat()),
      agentVersion: fc.option(label),
      resticVersion: fc.option(label),
      os: fc.option(label),
      arch: fc.option(label),
      repoSizeBytes: fc.option(fc.maxSafeNat()),
      repoStatus: fc.option(fc.constantFrom(...REPO_STATUSES)),
      snapshotCount: fc.option(fc.maxSafeNat()),
      openAlerts: fc.option(fc.record({ critical: fc.nat(), info: fc.nat(), warning: fc.nat() })),
    })
    .map(({ hostId, host, online, reportsByHttp, ...rest }) => ({
      ...{ hostId, host, online, reportsByHttp },
      ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)),
    })),
  { selector: ({ hostId }) => hostId, maxLength: 100, size: 'max' },
);

const anyJobs: fc.Arbitrary<Job[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...JOB_KINDS),
    fc.constantFrom(...JOB_STATUSES),
    fc.integer({ min: 0, max: 100_000_000 }),
  ),
  { maxLength: 100, size: 'max' },
);

const anyBuild: fc.Arbitrary<BuildInfo> = fc.record({
  version: fc.string({ unit: 'binary' }),
  commit: fc.string({ unit: fc.constantFrom('\\', '"', '\n') }),
  nodeVersion: fc.string(),
});

/** Counts, and what the system tells or does not tell. */
const anyServer: fc.Arbitrary<Float64Array> = fc
  .tuple(
    fc.array(fc.nat(), { minLength: READING_CELLS, maxLength: READING_CELLS, size: 'max' }),
    fc.constantFrom(0, 31, Number.NaN),
  )
  .map(([counts, openFds]) => {
    const reading = Float64Array.from(counts);
    reading[PROCESS_CELL.openFds] = openFds;
    deriveCells(reading);
    return reading;
  });

function inputOf(
  hosts: readonly Host[],
  jobs: readonly Job[],
  build = BUILD,
  server: Float64Array = new Float64Array(READING_CELLS),
): BodyInput {
  const table = new FleetTable();
  for (const host of hosts) table.upsert(host);
  const histogram = JobHistogram.create();
  const writer = histogram.writer();
  for (const job of jobs) writer.observeJob(...job);
  return { pages: new CopyingReader(table.buffer).read(), jobs: histogram.read(), build, server };
}

function expose(...input: Parameters<typeof inputOf>): string {
  return naiveBody(inputOf(...input));
}

/** All rows by family, as the contract describes them and as slowly as one likes. */
function plainRows(
  hosts: readonly Host[],
  jobs: readonly Job[],
  { version, commit, nodeVersion }: BuildInfo,
): Record<string, ParsedSample[]> {
  const sorted = hosts.toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1));
  const alerts = ({ openAlerts }: Host) => ({ critical: 0, info: 0, warning: 0, ...openAlerts });
  const total = (numbers: readonly number[]) => numbers.reduce((sum, n) => sum + n, 0);
  const row = (name: string, labels: Record<string, string>, value: number) => ({
    name,
    labels,
    value,
  });
  const perHost = (name: string, of: (host: Host) => number | undefined) =>
    sorted.flatMap((host) => {
      const value = of(host);
      const labels = { host_id: host.hostId, host: host.host };
      return value === undefined ? [] : [row(name, labels, value)];
    });
  const histogram = JOB_KINDS.flatMap((kind) =>
    JOB_STATUSES.flatMap((status) => {
      const durations = jobs.filter((job) => job[0] === kind && job[1] === status);
      const seconds = durations.map(([, , durationMs]) => durationMs / 1000);
      const upTo = (le: string) => seconds.filter((s) => le === '+Inf' || s <= Number(le)).length;
      const base = 'rm_job_duration_seconds';
      const sumMs = total(durations.map(([, , durationMs]) => durationMs));
      return [
        ...['1', '5', '30', '60', '300', '1800', '3600', '21600', '86400', '+Inf'].map((le) =>
          row(`${base}_bucket`, { kind, status, le }, upTo(le)),
        ),
        row(`${base}_sum`, { kind, status }, sumMs / 1000),
        row(`${base}_count`, { kind, status }, seconds.length),
      ];
    }),
  );
  const build = { version, commit, node_version: nodeVersion };
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000);
  return {
    rm_active_alerts: SEVERITIES.map((severity) =>
      row('rm_active_alerts', { severity }, total(hosts.map((host) => alerts(host)[severity]))),
    ),
    rm_build_info: [row('rm_build_info', build, 1)],
    rm_host_agent_online: perHost('rm_host_agent_online', ({ online }) => (online ? 1 : 0)),
    rm_host_agent_reports_by_http: perHost('rm_host_agent_reports_by_http', ({ reportsByHttp }) =>
      reportsByHttp ? 1 : undefined,
    ),
    rm_host_backup_interval_seconds: perHost(
      'rm_host_backup_interval_seconds',
      (host) => host.backupIntervalSeconds,
    ),
    rm_host_info: perHost('rm_host_info', () => 1).map((sample, at) => {
      const { agentVersion = '', resticVersion = '', os = '', arch = '' } = sorted[at] ?? {};
      const info = { agent_version: agentVersion, restic_version: resticVersion, os, arch };
      return { ...sample, labels: { ...sample.labels, ...info } };
    }),
    rm_host_last_backup_added_bytes: perHost(
      'rm_host_last_backup_added_bytes',
      (host) => host.lastBackupAddedBytes,
    ),
    rm_host_last_backup_duration_seconds: perHost(
      'rm_host_last_backup_duration_seconds',
      ({ lastBackup }) => seconds(lastBackup?.durationMs),
    ),
    rm_host_last_backup_success_timestamp_seconds: perHost(
      'rm_host_last_backup_success_timestamp_seconds',
      ({ lastBackup, lastBackupSuccessMs }) =>
        seconds(
          lastBackupSuccessMs ?? (lastBackup?.succeeded ? lastBackup.finishedAtMs : undefined),
        ),
    ),
    rm_host_last_check_success_timestamp_seconds: perHost(
      'rm_host_last_check_success_timestamp_seconds',
      (host) => seconds(host.lastCheckSuccessMs),
    ),
    rm_host_last_backup_success: perHost('rm_host_last_backup_success', ({ lastBackup }) =>
      lastBackup === undefined ? undefined : Number(lastBackup.succeeded),
    ),
    rm_host_last_backup_timestamp_seconds: perHost(
      'rm_host_last_backup_timestamp_seconds',
      ({ lastBackup }) => (lastBackup === undefined ? undefined : lastBackup.finishedAtMs / 1000),
    ),
    rm_host_open_alerts: perHost('rm_host_open_alerts', (host) =>
      total(Object.values(alerts(host))),
    ),
    rm_host_repo_size_bytes: perHost('rm_host_repo_size_bytes', (host) => host.repoSizeBytes),
    rm_host_repo_status: perHost('rm_host_repo_status', () => 1).map((sample, at) => ({
      ...sample,
      labels: { ...sample.labels, status: sorted[at]?.repoStatus ?? 'unknown' },
    })),
    rm_host_snapshot_count: perHost('rm_host_snapshot_count', (host) => host.snapshotCount ?? 0),
    rm_hosts_online: [row('rm_hosts_online', {}, hosts.filter(({ online }) => online).length)],
    rm_hosts_pending: [row('rm_hosts_pending', {}, 0)],
    rm_hosts_total: [row('rm_hosts_total', {}, hosts.length)],
    rm_job_duration_seconds: histogram,
    rm_shard: [row('rm_shard', { shard: '0', shards: '1' }, 1)],
  };
}

/** The same of what the server says about itself, out of the cells that it counts in. */
function plainServerRows(server: Float64Array): Record<string, ParsedSample[]> {
  const at = (cell: number) => server[cell] as number;
  const row = (name: string, labels: Record<string, string>, value: number) => ({
    name,
    labels,
    value,
  });
  const one = (name: string, cell: number) => ({
    [name]: Number.isNaN(at(cell)) ? [] : [row(name, {}, at(cell))],
  });
  const byLabel = (
    name: string,
    label: string,
    values: readonly (string | number)[],
    first: number,
  ) => ({
    [name]: values.map((value, n) => row(name, { [label]: String(value) }, at(first + n))),
  });
  const durations = (name: string, first: number) => {
    let count = 0;
    const buckets = [...DURATION_BOUNDS_SECONDS, '+Inf'].map((le, bucket) => {
      count += at(first + bucket);
      return row(`${name}_bucket`, { le: String(le) }, count);
    });
    const sum = row(`${name}_sum`, {}, at(first + DURATION_SUM));
    return { [name]: [...buckets, sum, row(`${name}_count`, {}, count)] };
  };
  const pending = Math.max(0, at(CELL.submitted) - at(CELL.answered));
  return {
    ...one('nodejs_eventloop_lag_p99_seconds', CELL.loopLagP99Seconds),
    ...one('nodejs_eventloop_lag_seconds', CELL.loopLagSeconds),
    ...one('nodejs_heap_size_used_bytes', CELL.heapUsedBytes),
    ...one('process_cpu_seconds_total', PROCESS_CELL.cpuSeconds),
    ...one('process_max_fds', PROCESS_CELL.maxFds),
    ...one('process_open_fds', PROCESS_CELL.openFds),
    ...one('process_resident_memory_bytes', PROCESS_CELL.residentBytes),
    ...one('process_start_time_seconds', PROCESS_CELL.startTimeSeconds),
    ...one('rm_agent_connections', CELL.connections),
    ...byLabel('rm_agent_messages_total', 'type', MESSAGE_TYPES, CELL.messages),
    ...byLabel('rm_agent_refusals_total', 'reason', REFUSALS, CELL.refusals),
    ...byLabel('rm_agent_requests_total', 'code', REPORT_CODES, CELL.reports),
    ...byLabel('rm_api_refusals_total', 'reason', API_REFUSALS, CELL.apiRefusals),
    ...durations('rm_api_request_duration_seconds', CELL.apiDuration),
    ...byLabel('rm_api_requests_total', 'code', API_CODES, CELL.apiRequests),
    ...durations('rm_scrape_duration_seconds', CELL.scrapeDuration),
    ...one('rm_scrapes_cut_off_total', CELL.scrapesCutOff),
    ...byLabel('rm_scrapes_total', 'code', SCRAPE_CODES, CELL.scrapes),
    ...durations('rm_store_commit_duration_seconds', CELL.commitDuration),
    ...one('rm_store_failures_total', CELL.storeFailures),
    ...one('rm_store_forgotten_jobs_total', CELL.forgottenJobs),
    rm_store_pending_operations: [row('rm_store_pending_operations', {}, pending)],
  };
}
