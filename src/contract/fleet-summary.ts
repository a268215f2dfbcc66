import type { AlertKind } from './alert-kinds.ts';
import type { Severity } from './host.ts';
import type { HostState } from './host-state.ts';
import type { JobKind, JobStatus } from './jobs.ts';

/** The answer to `GET /api/fleet`. */
export interface FleetJson {
  /** Without pending hosts, like `rm_hosts_total`. */
  readonly hosts: number;
  readonly online: number;
  readonly pending: number;
  /** All hosts by their state. */
  readonly states: Readonly<Record<HostState, number>>;
  /** Open alerts. */
  readonly alerts: {
    readonly by_severity: Readonly<Record<Severity, number>>;
    readonly by_kind: Readonly<Record<AlertKind, number>>;
  };
  /** Jobs whose start was reported and whose finish was not. Null if the database cannot be read. */
  readonly running: Readonly<Record<JobKind, number>> | null;
  /** Jobs that this process has counted since its start, as `rm_job_duration_seconds_count` does. */
  readonly finished_jobs: Readonly<Record<JobStatus, number>>;
  readonly version: string;
  /** The clock of the server, by which the states are decided. RFC 3339 in UTC. */
  readonly time: string;
}
