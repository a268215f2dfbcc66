import type { ReportedJob } from '../contract/last-jobs.ts';
import type { EnrolledHost } from '../contract/operations.ts';
import type { Changes } from './changes.ts';
import type { JobName, Named, Rows } from './rows.ts';
import type { HostRecord } from './rules/records.ts';

/**
 * What an error means for the operations of a batch:
 * - `locked`: another process holds the lock on the database; the batch may succeed soon
 * - `unavailable`: the database cannot be used now, so every operation would fail
 * - `operation`: only this operation fails; others may succeed
 */
export type FailureKind = 'locked' | 'unavailable' | 'operation';

export interface Failure {
  readonly kind: FailureKind;
  /** A code of `errors.ts`. */
  readonly code: string;
  /** Contains the database's own message. */
  readonly message: string;
  /** Whether the transaction may still have been committed. The kind is then `unavailable`. */
  readonly isUncertain?: boolean;
}

/** `create`: a database that does not exist is created. `must_exist`: that is an error. */
export type Missing = 'create' | 'must_exist';

/** A host that is being enrolled. */
export interface NewHost {
  readonly hostId: string;
  readonly host: string;
  /** SHA-256 of its token. */
  readonly tokenDigest: Uint8Array;
}

/**
 * The database that holds the fleet. An engine loads and writes rows. `rules/` decide what a report
 * changes in them. A caller that needs several calls to be consistent or atomic must make them within
 * one `transaction`.
 */
export interface Engine {
  /** Path or address of the database, for the log. Contains no secret. */
  readonly place: string;
  /** Whether this process has created the database, or its tables. */
  readonly isNew: boolean;
  /** Unix time in milliseconds by which reports are dated. */
  now(): number;

  /** Whether a control plane, in this or another process, serves the database. */
  isServed(): boolean;
  /**
   * After this call a transaction fails at once, with a failure of kind `locked`, if another process
   * holds the lock. Before it, a transaction waits for the lock.
   */
  doNotWait(): void;
  /**
   * To be called before the hosts are read at the start of a control plane. It has no connections then:
   * marks every host offline as of now whose connection cannot exist. Hosts that are online by messages
   * over HTTP stay so, pending hosts stay pending, and a host with an open `agent_offline` alert keeps
   * its time. `follow` returns what other processes commit from now on.
   */
  startServing(): void;

  /**
   * Runs `work` in one transaction. Its writes are on disk when this returns, and undone if it throws. The
   * engine may undo its writes and run `work` again.
   */
  transaction<T>(work: () => T): T;
  /** Runs `work` in a savepoint of the current transaction. Only its writes are undone if it throws. */
  attempt<T>(work: () => T): T;
  /** Classifies an error that a method of the engine threw. */
  failure(error: unknown): Failure;
  /**
   * Returns whether a transaction of this process has stored the first finish of each job; undefined while that is
   * unknown, because another transaction holds the lock of the host. To be called within a transaction: what this
   * returns is certain when that is committed.
   */
  haveFinished(jobs: readonly JobName[]): readonly (boolean | undefined)[];
  /** Number of rows written so far, by all statements. */
  rowsWritten(): number;
  /**
   * Returns the path of a database file that was deleted or replaced, or undefined. Further writes
   * to such a database would be lost.
   */
  lost(): string | undefined;

  /** Loads the named rows that exist. */
  load(named: Named): Rows;
  /** Writes the rows that the rules changed. Deletes the oldest jobs of a host that has too many. */
  write(rows: Rows): void;
  /** Every host, sorted by its id. */
  hosts(): Iterable<HostRecord>;

  host(hostId: string): HostRecord | undefined;
  /** The last jobs of a host, newest first. */
  lastJobs(hostId: string): ReportedJob[];

  /** Every host with the SHA-256 of its token. */
  enrolled(): EnrolledHost[];
  hostOfToken(tokenDigest: Uint8Array): string | undefined;
  addHosts(hosts: readonly NewHost[]): void;
  /**
   * Removes the host with its jobs and alerts.
   * @returns whether there was such a host
   */
  removeHost(hostId: string): boolean;
  /** @returns the host's name; undefined if there is no such host */
  replaceToken(hostId: string, tokenDigest: Uint8Array): string | undefined;
  /** @returns whether there is such a host */
  renameHost(hostId: string, host: string): boolean;

  /**
   * Deletes some of the jobs whose last report is older than `beforeMs`.
   * @returns whether there may be more
   */
  forgetJobs(beforeMs: number): boolean;
  /** Returns the time that `saveClock` saved last. */
  clock(): number | undefined;
  saveClock(atMs: number): void;

  /** How often to call `follow`. */
  readonly followEveryMs: number;
  /**
   * Adds to `changes` what other processes have committed since the last call. The caller must publish
   * it. A call that finds nothing is cheap.
   */
  follow(changes: Changes): void;
  /** Whether `confirmChanges` must be called. */
  readonly hasUnconfirmedChanges: boolean;
  /** Tells the processes that made the changes that they are published. To be called in a transaction. */
  confirmChanges(): void;
  /** Whether all control planes have published what this process has committed. */
  areChangesApplied(): boolean;
  /**
   * Whether `follow` has returned all that was committed until a moment ago. If not, this process must
   * not conclude from silence that a host is away: the host may have reported to another process.
   */
  readonly isCurrent: boolean;

  close(): void;
}
