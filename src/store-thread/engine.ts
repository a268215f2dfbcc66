import type { EnrolledHost } from '../contract/operations.ts';
import type { Named, Rows } from './rows.ts';
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
}

/** A change of the hosts that another process made. */
export interface HostChange {
  /** Increases with each change. */
  readonly seq: number;
  readonly hostId: string;
  readonly change: 'added' | 'removed' | 'token' | 'renamed';
  /** SHA-256 of the current token; null if the host is no longer enrolled. */
  readonly tokenDigest: Uint8Array | null;
}

/**
 * The database that holds the fleet. An engine loads and writes rows. `rules/` decide what a report
 * changes in them. A caller that needs several calls to be consistent or atomic must make them within
 * one `transaction`.
 */
export interface Engine {
  /** Path of the database, for the log. */
  readonly place: string;

  /** Whether a control plane, in this or another process, serves the database. */
  isServed(): boolean;
  /**
   * After this call a transaction fails at once, with a failure of kind `locked`, if another process
   * holds the lock. Before it, a transaction waits for the lock.
   */
  doNotWait(): void;

  /** Runs `work` in one transaction. Its writes are on disk when this returns, and undone if it throws. */
  transaction<T>(work: () => T): T;
  /** Runs `work` in a savepoint of the current transaction. Only its writes are undone if it throws. */
  attempt<T>(work: () => T): T;
  /** Classifies an error that a method of the engine threw. */
  failure(error: unknown): Failure;
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

  /** Every host with the SHA-256 of its token. */
  enrolled(): EnrolledHost[];
  hostOfToken(tokenDigest: Uint8Array): string | undefined;
  addHost(hostId: string, host: string, tokenDigest: Uint8Array): void;
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
   * Marks every host offline since `atMs`, except those that are online by messages over HTTP. Pending
   * hosts stay pending, and a host with an open `agent_offline` alert keeps its time.
   */
  forgetConnections(atMs: number): void;
  /**
   * Deletes some of the jobs whose last report is older than `beforeMs`.
   * @returns whether there may be more
   */
  forgetJobs(beforeMs: number): boolean;
  /** Returns the time that `saveClock` saved last. */
  clock(): number | undefined;
  saveClock(atMs: number): void;

  /** Returns a number that changes when another process commits. */
  version(): number;
  /** Changes of other processes after `seq`, oldest first. */
  changesSince(seq: number): HostChange[];
  /** Deletes the changes up to and including `seq`. */
  forgetChanges(seq: number): void;
  lastChange(): number;

  close(): void;
}
