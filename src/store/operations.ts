import type { RepoStatus } from '../metrics/host.ts';
import type { JobKind, JobStatus } from '../metrics/jobs.ts';

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
  addHost: [{ host: string }, { hostId: string; token: string }];
  removeHost: [{ hostId: string }, boolean];
  listHosts: [null, ListedHost[]];
  /** The host whose token has this SHA-256. */
  authenticate: [{ tokenDigest: Uint8Array }, string | undefined];
  /** The host is online from now on, by this connection; @returns its name. */
  hello: [{ hostId: string; connection: number; agent: AgentDetails }, { host: string } | Gone];
  /** The connection is closed; nothing if the host has a newer one. */
  goodbye: [{ hostId: string; connection: number }, null];
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

/** One operation on its way to the store. */
export type Operation = { [N in OperationName]: readonly [N, Request<N>] }[OperationName];

/** What an operation came to: its answer, or why it has none. */
export type Outcome =
  | { readonly answer: Answer<OperationName> }
  | { readonly failure: { readonly code: string; readonly message: string } };

/** The store tells a loop to close one of its connections. */
export interface Disconnect {
  readonly connection: number;
  readonly reason: 'replaced' | 'removed';
}

/** Hosts that were enrolled, with the SHA-256 of their tokens, and hosts that were removed. */
export interface Enrolments {
  readonly added: readonly (readonly [hostId: string, tokenDigest: Uint8Array])[];
  readonly removed: readonly string[];
}

/**
 * From the store to a loop: the outcomes of its oldest unanswered operations, a connection to close, or
 * who may connect from now on (the first of these names every host).
 */
export type StoreMessage =
  | { readonly outcomes: readonly Outcome[] }
  | { readonly disconnect: Disconnect }
  | { readonly enrolments: Enrolments };

/** A loop numbers its connections from `loop * CONNECTIONS_PER_LOOP` on, so that the store finds the loop. */
export const CONNECTIONS_PER_LOOP = 2 ** 40;
