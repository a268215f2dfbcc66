export type { AccessRules } from './access/gate.ts';
export {
  attachRegistry,
  createMetrics,
  type Fleet,
  type JobRegistry,
  type Metrics,
  type MetricsOptions,
} from './embedding.ts';
export { type ErrorCode, RmError } from './errors.ts';
export type { Host, RepoStatus, Severity } from './metrics/host.ts';
export type { JobSeries } from './metrics/job-histogram.ts';
export { JOB_KINDS, JOB_STATUSES, type JobKind, type JobStatus } from './metrics/jobs.ts';
