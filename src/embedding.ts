import { type AccessRules, compileGate } from './access/gate.ts';
import type { Host } from './contract/host.ts';
import type { JobKind, JobStatus } from './contract/jobs.ts';
import { RenderThread } from './loop/doors/render-thread.ts';
import { RequestBudget } from './loop/http/request-budget.ts';
import { mountScrapeEndpoint } from './loop/scrape/endpoint.ts';
import { SharedRender } from './loop/scrape/shared-render.ts';
import { packageCommit, packageVersion } from './platform/build-info.ts';
import type { MountableApp } from './platform/uws.ts';
import { FleetTable } from './shared/fleet-table.ts';
import { JobHistogram, type JobSeries } from './shared/job-histogram.ts';
import { NOT_EMBEDDED } from './shared/server-families.ts';
import { ServerStats } from './shared/server-stats.ts';

export interface MetricsOptions {
  /** Who may scrape. With neither `token` nor `trustedCidrs` nothing is mounted. */
  readonly gates: AccessRules;
  /** Labels of `rm_build_info`; default: this package's own version and commit. */
  readonly buildInfo?: { readonly version: string; readonly commit: string };
  /** Told why a scrape was answered with 503. */
  readonly onScrapeFailure?: (error: unknown) => void;
}

/** Records finished jobs, from the thread that holds it. */
export interface JobRegistry {
  /**
   * Counts one finished job.
   * @param durationMs milliseconds; a fraction is cut off, a negative duration counts as 0
   * @throws RmError `unknown_kind`, `unknown_status`, `invalid_duration`; nothing is counted then
   */
  observeJob(kind: JobKind, status: JobStatus, durationMs: number): void;
  /** The handle of one series: `observe(durationMs)` at half the price. */
  series(kind: JobKind, status: JobStatus): JobSeries;
}

/** The hosts that scrapes show; to be used from one thread only. */
export interface Fleet {
  /**
   * Shows `host` as given from the next scrape on; a known host is replaced whole.
   * @throws RmError `invalid_host`, `fleet_full`; nothing is changed then
   */
  upsert(host: Host): void;
  /** @returns whether there was such a host */
  remove(hostId: string): boolean;
}

export interface Metrics {
  readonly registry: JobRegistry & {
    /** Send this to another thread and give it to `attachRegistry` there. */
    readonly shared: SharedArrayBuffer;
  };
  readonly fleet: Fleet;
  /** Mounts the scrape endpoint on a uWebSockets.js app, plain or TLS. Default path: `/metrics`. */
  mount(app: MountableApp, path?: string): void;
  /** Ends the render thread; scrapes are answered with 503 from now on. */
  close(): Promise<void>;
}

/**
 * The metrics of a fleet, to be embedded in a control plane of your own.
 * @throws RmError `invalid_settings` for a bad token or network
 */
export function createMetrics(options: MetricsOptions): Metrics {
  const gate = compileGate(options?.gates);
  const jobs = JobHistogram.create();
  const fleet = new FleetTable();
  const { version, commit } = options.buildInfo ?? {
    version: packageVersion(),
    commit: packageCommit(),
  };
  const build = { version, commit, nodeVersion: process.version };
  const stats = ServerStats.create();
  const counter = stats.writer();
  const thread = new RenderThread({
    fleet: fleet.buffer,
    jobs: jobs.buffer,
    stats: stats.buffer,
    build,
    exclude: NOT_EMBEDDED,
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

/**
 * The registry of another thread's `createMetrics`, for the calling thread. Attach once a thread: each
 * attachment takes one of 256 shards for good.
 * @throws RmError `too_many_writers`
 */
export function attachRegistry(shared: SharedArrayBuffer): JobRegistry {
  return JobHistogram.attach(shared).writer();
}
