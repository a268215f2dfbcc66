import type { AlertKind } from '../../contract/alert-kinds.ts';
import type { RepoStatus } from '../../contract/host.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentDetails, BackupSummary } from '../../contract/operations.ts';

/*
 * The records of hosts and jobs on which the rules work. A record is never modified: a rule that changes
 * one returns a new one. All times are Unix milliseconds.
 */

/** Unix times in milliseconds by name. */
export type Times<Name extends string> = Readonly<Partial<Record<Name, number>>>;

export interface HostRecord {
  readonly hostId: string;
  readonly host: string;
  /** `pending`: enrolled, never connected. */
  readonly status: 'pending' | 'offline' | 'online';
  /** Number of the host's connection to this instance, while it has one. */
  readonly connection: number | undefined;
  /** Whether the host is online by a connection to another instance. */
  readonly isElsewhere: boolean;
  readonly offlineSinceMs: number | undefined;
  /**
   * When the host last sent messages by HTTP, by the server's clock. Undefined if the host is offline or has a
   * connection.
   */
  readonly reportedAtMs: number | undefined;
  /** Details from the last hello; undefined before the first one. */
  readonly agent: AgentDetails | undefined;
  readonly lastBackup: LastBackup | undefined;
  readonly lastBackupSuccessMs: number | undefined;
  /** The value of the last finish of a backup that contained one. */
  readonly lastBackupAddedBytes: number | undefined;
  readonly lastCheckSuccessMs: number | undefined;
  readonly repoSizeBytes: number | undefined;
  readonly repoStatus: RepoStatus;
  readonly snapshotCount: number;
  /** The times at which the open alerts were opened. */
  readonly alerts: Times<AlertKind>;
  /**
   * `ReportedTime.orderMs` of the last finish of each kind, with which later finishes are compared. Kinds whose time is
   * shown are here only if the shown time is not the one to compare with.
   */
  readonly lastFinishes: Times<FinishKind>;
}

/** The time of the last finish is kept for each kind of job, and for the successes of two kinds. */
export type FinishKind = JobKind | 'backup_success' | 'check_success';

export interface LastBackup {
  readonly finishedAtMs: number;
  readonly succeeded: boolean;
  /** Undefined if an earlier version stored the backup and its job was deleted before the migration. */
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

/** The result of a rule: the answer, and the new records of the host and the job if they changed. */
export interface Decision<Answer> {
  readonly answer: Answer;
  readonly host?: HostRecord;
  readonly job?: JobRecord;
}
