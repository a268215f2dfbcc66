import type { RepoStatus } from './host.ts';
import type { HostDetails } from './host-details.ts';
import type { JobKind, JobStatus } from './jobs.ts';

/** The answer to an operation for a host that is no longer enrolled. */
export type Gone = 'gone';

export interface AgentDetails {
  readonly agentVersion: string;
  readonly hostname: string;
  readonly resticVersion?: string | undefined;
  readonly os?: string | undefined;
  readonly arch?: string | undefined;
  readonly bootTimeMs?: number | undefined;
  /** The planned time between two backups. */
  readonly backupIntervalSeconds?: number | undefined;
}

/** What restic reported at the end of a backup. */
export interface BackupSummary {
  readonly bytesAdded?: number | undefined;
  readonly filesUnreadable?: number | undefined;
  readonly snapshotId?: string | undefined;
}

export interface JobFinish {
  readonly hostId: string;
  readonly jobId: string;
  readonly status: JobStatus;
  readonly finishedAtMs: number;
  readonly exitCode?: number | undefined;
  readonly error?: string | undefined;
  readonly summary?: BackupSummary | undefined;
  /** Needed only for a job whose start was not reported. */
  readonly kind?: JobKind | undefined;
  readonly startedAtMs?: number | undefined;
}

/** Another job of the host has that id: its kind, its times or its status differ. */
export type JobConflict = 'job_conflict';

/**
 * What the store decides about a finish report. A loop observes a job only if this is its first finish. `too_long`:
 * the job took longer than the maximum, so one of its times must be wrong.
 */
export type FinishVerdict =
  | { readonly first: true; readonly kind: JobKind; readonly durationMs: number }
  | { readonly first: false }
  | 'unknown_job'
  | 'too_long'
  | JobConflict
  | Gone;

export interface ListedHost {
  readonly hostId: string;
  readonly host: string;
  readonly status: 'pending' | 'offline' | 'online';
  readonly lastBackup?: { readonly finishedAtMs: number; readonly succeeded: boolean };
  readonly openAlerts: readonly string[];
}

/** How much `restic-manager import` has copied. */
export interface Imported {
  readonly hosts: number;
  readonly jobs: number;
  /** Open alerts. */
  readonly alerts: number;
}

/** The operations of the store: request and answer by name. All times are Unix milliseconds. */
export interface Operations {
  /** Enrols all hosts or none. */
  addHosts: [{ hosts: readonly string[] }, readonly { hostId: string; token: string }[]];
  /**
   * Gives the host a new token and invalidates the old one. Answers undefined if there is no such
   * host.
   */
  replaceToken: [{ hostId: string }, { host: string; token: string } | undefined];
  /** Answers whether there is such a host. */
  renameHost: [{ hostId: string; host: string }, boolean];
  /** Answers whether there was such a host. */
  removeHost: [{ hostId: string }, boolean];
  listHosts: [null, ListedHost[]];
  /** Answers undefined if there is no such host. */
  showHost: [{ hostId: string }, HostDetails | undefined];
  /**
   * Answers whether the control plane that serves this database has applied all changes of hosts.
   * True if none is running.
   */
  areHostChangesApplied: [null, boolean];
  /** Answers the id of the host whose token has this SHA-256. */
  authenticate: [{ tokenDigest: Uint8Array }, string | undefined];
  /** Marks the host online by this connection. Answers the name of the host. */
  hello: [{ hostId: string; connection: number; agent: AgentDetails }, { host: string } | Gone];
  /**
   * The connection is closed, since `atMs` or, without it, just now. Changes nothing if the host
   * has a newer connection.
   */
  goodbye: [{ hostId: string; connection: number; atMs?: number }, null | Gone];
  /**
   * The host has sent messages by HTTP. It is online until it has been silent for too long, unless it has
   * a connection. `agent` replaces its details.
   */
  seen: [{ hostId: string; agent?: AgentDetails | undefined }, null | Gone];
  /** A host that reports by HTTP has been silent for too long, since its message at `reportedAtMs`. */
  silent: [{ hostId: string; reportedAtMs: number }, null | Gone];
  /** Another instance has marked the host offline, but this connection to it exists. */
  resume: [{ hostId: string; connection: number }, null | Gone];
  /** The host has been offline long enough for an alert. */
  offline: [{ hostId: string }, null | Gone];
  startJob: [
    { hostId: string; jobId: string; kind: JobKind; startedAtMs: number },
    'recorded' | JobConflict | Gone,
  ];
  finishJob: [JobFinish, FinishVerdict];
  repoStats: [
    {
      hostId: string;
      totalSizeBytes?: number | undefined;
      snapshotCount?: number | undefined;
      repoStatus?: RepoStatus | undefined;
    },
    'recorded' | Gone,
  ];
}

export type OperationName = keyof Operations;
export type Request<N extends OperationName> = Operations[N][0];
export type Answer<N extends OperationName> = Operations[N][1];

/** An operation on its way to the store. The type of the request belongs to the name. */
export type Operation<Name extends OperationName = OperationName> = {
  [N in Name]: readonly [N, Request<N>];
}[Name];

/** The result of an operation: its answer, or its failure. */
export type Outcome =
  | { readonly answer: Answer<OperationName> }
  | { readonly failure: { readonly code: string; readonly message: string } };

/** A message with which the store asks a loop to close one of its connections. */
export interface Disconnect {
  readonly connection: number;
  readonly reason: 'replaced' | 'removed' | 'token_replaced';
}

/** A job to observe in the histogram. */
export interface FinishedJob {
  readonly kind: JobKind;
  readonly status: JobStatus;
  readonly durationMs: number;
}

/** A host with the SHA-256 of its token. */
export type EnrolledHost = readonly [hostId: string, tokenDigest: Uint8Array];

/**
 * Changes of valid tokens. A receiver first removes the tokens of all hosts in `removed`, then adds
 * those in `added`.
 */
export interface TokenChanges {
  readonly removed: readonly string[];
  readonly added: readonly EnrolledHost[];
}

/**
 * A message from the store to a loop: the outcomes of the oldest unanswered operations of the loop,
 * a connection to close, changes of valid tokens, or jobs to observe. These jobs are stored, but the store
 * has answered that their finishes failed. The first message with token changes contains every host.
 */
export type StoreMessage =
  | { readonly outcomes: readonly Outcome[] }
  | { readonly disconnect: Disconnect }
  | { readonly tokenChanges: TokenChanges }
  | { readonly finished: readonly FinishedJob[] };

/**
 * The number of a connection is `loop * CONNECTIONS_PER_LOOP + order`, so that the store knows its
 * loop. The order counts the connections of all loops. Of two connections of a host the store
 * therefore knows the newer one, in whichever order their hellos arrive.
 */
export const CONNECTIONS_PER_LOOP = 2 ** 40;

export function orderOf(connection: number): number {
  return connection % CONNECTIONS_PER_LOOP;
}
