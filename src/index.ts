/**
 * Prometheus metrics of a fleet of restic hosts, for embedding in a control plane. Start with
 * `createMetrics`.
 *
 * @example
 * ```ts
 * const metrics = createMetrics({ gates: { token: 'change-me' } });
 * metrics.mount(app); // a uWebSockets.js app of your own
 * metrics.fleet.upsert({ hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B', host: 'web-1', online: true });
 * metrics.registry.observeJob('backup', 'succeeded', 93_500); // milliseconds
 * ```
 *
 * @packageDocumentation
 */
export type { AccessRules } from './access/gate.ts';
export type { Host, RepoStatus, Severity } from './contract/host.ts';
export { JOB_KINDS, JOB_STATUSES, type JobKind, type JobStatus } from './contract/jobs.ts';
export type { Shard } from './contract/shard.ts';
export {
  attachRegistry,
  createMetrics,
  type Fleet,
  type JobRegistry,
  type Metrics,
  type MetricsOptions,
} from './embedding.ts';
export { type ErrorCode, RmError } from './errors.ts';
export { uws } from './platform/uws.ts';
export type { JobSeries } from './shared/job-histogram.ts';
