import type { RepoStatus } from '../../contract/host.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentDetails, BackupSummary } from '../../contract/operations.ts';
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
  readonly lastBackup: LastBackup | undefined;
  readonly lastBackupSuccessMs: number | undefined;
  /** Of the last backup that told it. */
  readonly lastBackupAddedBytes: number | undefined;
  readonly lastCheckSuccessMs: number | undefined;
  readonly repoSizeBytes: number | undefined;
  readonly repoStatus: RepoStatus;
  readonly snapshotCount: number;
  /** The open alerts, by when they were opened. */
  readonly alerts: Times<AlertKind>;
  /** By what the next report is compared to tell whether it is later: see `ReportedTime.orderMs`. */
  readonly lastFinishes: Times<FinishKind>;
}

/** What the last one of is known: jobs by their kind, and successful ones. */
export type FinishKind = JobKind | 'backup_success' | 'check_success';

export interface LastBackup {
  readonly finishedAtMs: number;
  readonly succeeded: boolean;
  /** Undefined if an earlier version stored the backup, and its job is forgotten. */
  readonly durationMs: number | undefined;
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
  readonly summary?: BackupSummary | undefined;
}

/** What a rule decides: the answer, and the records that are other ones now. */
export interface Decision<Answer> {
  readonly answer: Answer;
  readonly host?: HostRecord;
  readonly job?: JobRecord;
}
