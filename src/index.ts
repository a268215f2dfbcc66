export type { AccessRules } from './access/gate.ts';
export type { Host, RepoStatus, Severity } from './contract/host.ts';
export { JOB_KINDS, JOB_STATUSES, type JobKind, type JobStatus } from './contract/jobs.ts';
export {
  attachRegistry,
  createMetrics,
  type Fleet,
  type JobRegistry,
  type Metrics,
  type MetricsOptions,
} from './embedding.ts';
export { type ErrorCode, RmError } from './errors.ts';
export type { JobSeries } from './shared/job-histogram.ts';
