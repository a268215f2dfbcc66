import type { RepoStatus } from './host.ts';
import type { JobKind, JobStatus } from './jobs.ts';

/** The answer to anything that names a host which is no longer enrolled. */
export type Gone = 'gone';

export interface AgentDetails {
  readonly agentVersion: string;
  readonly hostname: string;
  readonly resticVersion?: string | undefined;
  readonly os?: string | undefined;
  readonly arch?: string | undefined;
  readonly bootTimeMs?: number | undefined;
}

export interface JobFinish {
  readonly hostId: string;
  readonly jobId: string;
  readonly status: JobStatus;
  readonly finishedAtMs: number;
  readonly exitCode?: number | undefined;
  readonly error?: string | undefined;
  /** Only needed for a job that was never announced. */
  readonly kind?: JobKind | undefined;
  readonly startedAtMs?: number | undefined;
}

/** The store's verdict on a finish: only a first one is to be observed. */
export type FinishVerdict =
  | { readonly first: true; readonly kind: JobKind; readonly durationMs: number }
  | { readonly first: false }
  | 'unknown_job'
  | Gone;

export interface ListedHost {
  readonly hostId: string;
  readonly host: string;
  readonly status: 'pending' | 'offline' | 'online';
  readonly lastBackup?: { readonly finishedAtMs: number; readonly succeeded: boolean };
  readonly openAlerts: readonly string[];
}

/** What can be asked of the store: the question and the answer, by name. All times are Unix milliseconds. */
export interface Operations {
  /** Enrols all of them or none. */
  addHosts: [{ hosts: readonly string[] }, readonly { hostId: string; token: string }[]];
  /** The old token is dead; @returns undefined if there is no such host */
  replaceToken: [{ hostId: string }, { host: string; token: string } | undefined];
  renameHost: [{ hostId: string; host: string }, boolean];
  removeHost: [{ hostId: string }, boolean];
  listHosts: [null, ListedHost[]];
  /** Whether a control plane that runs on the same database knows of all changes of the hosts. */
  areHostChangesApplied: [null, boolean];
  /** The host whose token has this SHA-256. */
  authenticate: [{ tokenDigest: Uint8Array }, string | undefined];
  /** The host is online from now on, by this connection; @returns its name. */
  hello: [{ hostId: string; connection: number; agent: AgentDetails }, { host: string } | Gone];
  /** The connection is closed, since `atMs` if that was not just now; nothing if the host has a newer one. */
  goodbye: [{ hostId: string; connection: number; atMs?: number }, null | Gone];
  /** The host has been offline for so long that it has an alert. */
  offline: [{ hostId: string }, null | Gone];
  startJob: [
    { hostId: string; jobId: string; kind: JobKind; startedAtMs: number },
    'recorded' | Gone,
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

/** One operation on its way to the store: the request is of the type that belongs to the name. */
export type Operation<Name extends OperationName = OperationName> = {
  [N in Name]: readonly [N, Request<N>];
}[Name];

/** What an operation came to: its answer, or why it has none. */
export type Outcome =
  | { readonly answer: Answer<OperationName> }
  | { readonly failure: { readonly code: string; readonly message: string } };

/** The store tells a loop to close one of its connections. */
export interface Disconnect {
  readonly connection: number;
  readonly reason: 'replaced' | 'removed' | 'token_replaced';
}

/** A host with the SHA-256 of its token. */
export type EnrolledHost = readonly [hostId: string, tokenDigest: Uint8Array];

/** Whose tokens are not good any more, and then which tokens are, as of now. */
export interface TokenChanges {
  readonly removed: readonly string[];
  readonly added: readonly EnrolledHost[];
}

/**
 * From the store to a loop: the outcomes of its oldest unanswered operations, a connection to close, or
 * who may connect from now on (the first of these names every host).
 */
export type StoreMessage =
  | { readonly outcomes: readonly Outcome[] }
  | { readonly disconnect: Disconnect }
  | { readonly tokenChanges: TokenChanges };

/**
 * A connection is numbered `loop * CONNECTIONS_PER_LOOP + order`, so that the store finds its loop. The order counts
 * the connections of all loops, so that of two connections of a host the newer one is known, whichever says hello
 * first.
 */
export const CONNECTIONS_PER_LOOP = 2 ** 40;

export function orderOf(connection: number): number {
  return connection % CONNECTIONS_PER_LOOP;
}
