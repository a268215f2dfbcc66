import type { RepoStatus } from '../../contract/host.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentDetails } from '../../contract/operations.ts';
import type { AlertKind } from './alert-kinds.ts';

/*
 * What the store knows. Records are never modified: a rule that changes one returns another. All times are Unix
 * milliseconds.
 */

/** Events by when they happened. */
export type Times<Name extends string> = Readonly<Partial<Record<Name, number>>>;

export interface HostRecord {
  readonly hostId: string;
  readonly host: string;
  /** `pending`: enrolled, never connected. */
  readonly status: 'pending' | 'offline' | 'online';
  /** The connection by which the host is online. */
  readonly connection: number | undefined;
  readonly offlineSinceMs: number | undefined;
  /** What its last hello said; undefined before the first. */
  readonly agent: AgentDetails | undefined;
  readonly lastBackup: { readonly finishedAtMs: number; readonly succeeded: boolean } | undefined;
  readonly repoSizeBytes: number | undefined;
  readonly repoStatus: RepoStatus;
  readonly snapshotCount: number;
  /** The open alerts, by when they were opened. */
  readonly alerts: Times<AlertKind>;
  /** When the last job of a kind finished that an alert follows. `lastBackup` has that of backups. */
  readonly lastFinishes: Times<JobKind>;
}

export interface JobRecord {
  readonly hostId: string;
  readonly jobId: string;
  readonly kind: JobKind;
  readonly startedAtMs: number;
  /** Undefined while it runs. */
  readonly finish: JobEnd | undefined;
}

export interface JobEnd {
  readonly status: JobStatus;
  readonly finishedAtMs: number;
  readonly exitCode?: number | undefined;
  readonly error?: string | undefined;
}

/** What a rule decides: the answer, and the records that are other ones now. */
export interface Decision<Answer> {
  readonly answer: Answer;
  readonly host?: HostRecord;
  readonly job?: JobRecord;
}
