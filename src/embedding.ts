import { type AccessRules, compileGate } from './access/gate.ts';
import type { Host } from './contract/host.ts';
import type { JobKind, JobStatus } from './contract/jobs.ts';
import { isShard, MAX_SHARDS, type Shard } from './contract/shard.ts';
import { checkAll, RmError } from './errors.ts';
import { RenderThread } from './loop/doors/render-thread.ts';
import { RequestBudget } from './loop/http/request-budget.ts';
import { mountScrapeEndpoint } from './loop/scrape/endpoint.ts';
import { SharedRender } from './loop/scrape/shared-render.ts';
import { packageCommit, packageVersion } from './platform/build-info.ts';
import type { MountableApp } from './platform/uws.ts';
import { FAMILIES } from './shared/families.ts';
import { FleetTable } from './shared/fleet-table.ts';
import { JobHistogram, type JobSeries } from './shared/job-histogram.ts';
import { NOT_EMBEDDED } from './shared/server-families.ts';
import { ServerStats } from './shared/server-stats.ts';

/** Options of {@link createMetrics}. */
export interface MetricsOptions {
  /** Rules for who may scrape. If neither `token` nor `trustedCidrs` is set, `mount` does nothing. */
  readonly gates: AccessRules;
  /** Labels of `rm_build_info`. Default: version and commit of this package. */
  readonly buildInfo?: { readonly version: string; readonly commit: string };
  /** Names of families that the body leaves out. Default: none. */
  readonly exclude?: readonly string[];
  /**
   * The part of the hosts that the body shows, for several processes that each know all hosts:
   * `{ index: 0, count: 3 }` is the first of three. `fleet.upsert` ignores the others. Default: all hosts.
   */
  readonly shard?: Shard;
  /** Called with the cause when a scrape is answered with 503. */
  readonly onScrapeFailure?: (error: unknown) => void;
}

/**
 * Counts finished jobs. A registry may only be used in the thread that created or attached it.
 *
 * @example
 * ```ts
 * const registry = attachRegistry(workerData); // a buffer, from metrics.registry.shared
 * registry.observeJob('check', 'failed', 1_200);
 * const prunes = registry.series('prune', 'succeeded'); // keep it for a hot loop
 * prunes.observe(61_000);
 * ```
 */
export interface JobRegistry {
  /**
   * Counts one finished job.
   * @param durationMs milliseconds; a fraction is cut off, a negative duration counts as 0
   * @throws RmError `unknown_kind`, `unknown_status`, `invalid_duration`; nothing is counted then
   */
  observeJob(kind: JobKind, status: JobStatus, durationMs: number): void;
  /**
   * Returns the handle of one series. Keep it: `observe(durationMs)` on a handle takes half the
   * time of `observeJob`.
   * @throws RmError `unknown_kind`, `unknown_status`
   */
  series(kind: JobKind, status: JobStatus): JobSeries;
}

/**
 * The hosts in the exposition. A fleet may only be used in the thread that called
 * {@link createMetrics}.
 */
export interface Fleet {
  /**
   * Adds a host or replaces all fields of a known one. Optional fields that are left out are reset
   * to their defaults. The next scrape shows the change.
   * @throws RmError `invalid_host`, `fleet_full`; nothing is changed then
   * @example
   * ```ts
   * metrics.fleet.upsert({ hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B', host: 'web-1', online: true });
   * ```
   */
  upsert(host: Host): void;
  /**
   * Removes a host. The next scrape no longer shows it.
   * @param hostId the ULID of the host, in upper case
   * @returns whether there was such a host
   */
  remove(hostId: string): boolean;
  /**
   * Sets `rm_hosts_pending`: how many hosts are enrolled and have never connected. They have no rows. Default: 0.
   * @param hosts a whole number from 0 to 2^31 - 1
   */
  setPending(hosts: number): void;
}

/** The result of {@link createMetrics}. */
export interface Metrics {
  readonly registry: JobRegistry & {
    /** Send this buffer to another thread and pass it to {@link attachRegistry} there. */
    readonly shared: SharedArrayBuffer;
  };
  readonly fleet: Fleet;
  /**
   * Mounts the scrape endpoint on a uWebSockets.js app of this thread, plain or TLS.
   * @param path default: `/metrics`
   */
  mount(app: MountableApp, path?: string): void;
  /** Ends the render thread. Later scrapes are answered with 503. Close the app first. */
  close(): Promise<void>;
}

/**
 * Creates the metrics of a fleet for a control plane of your own. It starts the render thread and
 * reserves the shared memory.
 *
 * @throws RmError `invalid_settings` if options are wrong; the message has a line for each error
 *
 * @example
 * ```ts
 * const metrics = createMetrics({ gates: { token: 'change-me' } });
 * const app = uWS.App();
 * metrics.mount(app);
 * metrics.fleet.upsert({ hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B', host: 'web-1', online: true });
 * metrics.registry.observeJob('backup', 'succeeded', 93_500);
 * ```
 */
export function createMetrics(options: MetricsOptions): Metrics {
  const [gate, exclude, shard, givenBuild] = checkAll([
    () => compileGate(options?.gates),
    () => checkedExclude(options?.exclude),
    () => checkedShard(options?.shard),
    () => checkedBuildInfo(options?.buildInfo),
    () => checkFailureListener(options?.onScrapeFailure),
    () => checkNames(options, 'options', OPTIONS),
    () => checkNames(options?.gates, 'gates', GATES),
  ]);
  const jobs = JobHistogram.create();
  const fleet = new FleetTable(undefined, exclude, shard);
  const { version, commit } = givenBuild ?? {
    version: packageVersion(),
    commit: packageCommit(),
  };
  const build = { version, commit, nodeVersion: process.version, shard };
  const stats = ServerStats.create();
  const counter = stats.writer();
  const thread = new RenderThread({
    fleet: fleet.buffer,
    jobs: jobs.buffer,
    stats: stats.buffer,
    build,
    exclude: [...NOT_EMBEDDED, ...exclude],
  });
  const source = new SharedRender((encodings) => thread.render(encodings));
  const requests = new RequestBudget();
  const writer = jobs.writer();
  return {
    registry: {
      shared: jobs.buffer,
      observeJob: (kind, status, durationMs) => writer.observeJob(kind, status, durationMs),
      series: (kind, status) => writer.series(kind, status),
    },
    fleet,
    mount(app, path) {
      if (gate === undefined) return;
      const onFailure = options.onScrapeFailure;
      mountScrapeEndpoint(app, { gate, source, counter, requests, path, onFailure });
    },
    async close() {
      source.close();
      await thread.close();
    },
  };
}

function checkedShard(shard: Shard | undefined): Shard | undefined {
  if (shard === undefined) return undefined;
  if (typeof shard === 'object' && shard !== null && isShard(shard)) return shard;
  throw new RmError(
    'invalid_settings',
    `shard: must have index and count: count at most ${MAX_SHARDS}, and index a whole number from 0 to count - 1`,
  );
}

const OPTIONS = [
  'gates',
  'buildInfo',
  'exclude',
  'shard',
  'onScrapeFailure',
] satisfies (keyof MetricsOptions)[];
const GATES = ['token', 'trustedCidrs', 'trustedProxies'] satisfies (keyof AccessRules)[];

/** A misspelled gate would otherwise leave the endpoint out, or open to more clients. */
function checkNames(given: unknown, place: string, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null) return;
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const names = unknown.map((name) => JSON.stringify(name)).join(', ');
  throw new RmError(
    'invalid_settings',
    `${place}: unknown ${names}; known are ${known.join(', ')}`,
  );
}

function checkedExclude(exclude: readonly string[] = []): readonly string[] {
  if (!Array.isArray(exclude)) {
    throw new RmError('invalid_settings', 'exclude: must be a list of metric family names');
  }
  const check = (name: unknown) => () => {
    if (FAMILIES.some((family) => family.name === name)) return;
    throw new RmError(
      'invalid_settings',
      `exclude: must be names of metric families, not ${JSON.stringify(name)}`,
    );
  };
  checkAll(exclude.map(check));
  return exclude;
}

function checkedBuildInfo(info: MetricsOptions['buildInfo']): MetricsOptions['buildInfo'] {
  if (info === undefined) return undefined;
  if (typeof info?.version === 'string' && typeof info.commit === 'string') return info;
  throw new RmError('invalid_settings', 'buildInfo: must have version and commit, both strings');
}

function checkFailureListener(listener: unknown): void {
  if (listener === undefined || typeof listener === 'function') return;
  throw new RmError('invalid_settings', 'onScrapeFailure: must be a function');
}

/**
 * Attaches the calling thread to the registry of another thread. Call this once per thread: each
 * call takes one of 256 shards, and a shard is never freed.
 *
 * @param shared `metrics.registry.shared` of the thread that called {@link createMetrics}
 * @throws RmError `too_many_writers` if all shards are taken
 *
 * @example
 * ```ts
 * const registry = attachRegistry(workerData);
 * registry.observeJob('check', 'failed', 1_200);
 * ```
 */
export function attachRegistry(shared: SharedArrayBuffer): JobRegistry {
  return JobHistogram.attach(shared).writer();
}
