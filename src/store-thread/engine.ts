import type { EnrolledHost } from '../contract/operations.ts';
import type { Named, Rows } from './rows.ts';
import type { HostRecord } from './rules/records.ts';

/**
 * What an error means for the operations that wait:
 * - `locked`: somebody else has the database; the same may work in a moment
 * - `unavailable`: the database cannot be used now, so no other operation would fare better
 * - `operation`: it is the fault of this operation, and others may work
 */
export type FailureKind = 'locked' | 'unavailable' | 'operation';

export interface Failure {
  readonly kind: FailureKind;
  /** A code of `errors.ts`. */
  readonly code: string;
  /** With the database's own words. */
  readonly message: string;
}

/** A change of the hosts that another process made. */
export interface HostChange {
  /** Higher than those of all changes before. */
  readonly seq: number;
  readonly hostId: string;
  readonly change: 'added' | 'removed' | 'token' | 'renamed';
  /** SHA-256 of the token as it is now; null if the host is gone. */
  readonly tokenDigest: Uint8Array | null;
}

/**
 * A database with the fleet in it. An engine keeps rows; what a report means for them is decided by `rules/`. All
 * methods but `transaction` belong into a transaction, if what they see or write must belong together.
 */
export interface Engine {
  /** Where the fleet is, for the log: a file. */
  readonly place: string;

  /** Whether a control plane runs on the database, in whichever process. */
  isServed(): boolean;
  /** Until this is called, a transaction waits for a lock. From then on it throws `locked` at once. */
  doNotWait(): void;

  /** Runs `work` in one transaction: all of it is on disk when this returns, or nothing of it if it throws. */
  transaction<T>(work: () => T): T;
  /** Within a transaction: what `work` did is undone if it throws. */
  attempt<T>(work: () => T): T;
  /** What an error that the engine threw means. */
  failure(error: unknown): Failure;
  /** Rows that were written so far, by whatever statement. */
  rowsWritten(): number;
  /** What is no longer where it was, so that whatever is written is lost; undefined as long as all is well. */
  lost(): string | undefined;

  /** The rows that are named, as far as they are there. */
  load(named: Named): Rows;
  /** Writes what the rules have changed, and forgets the oldest jobs of a host that has too many. */
  write(rows: Rows): void;
  /** Every host, sorted by its id. */
  hosts(): Iterable<HostRecord>;

  /** Every host with the SHA-256 of its token. */
  enrolled(): EnrolledHost[];
  hostOfToken(tokenDigest: Uint8Array): string | undefined;
  addHost(hostId: string, host: string, tokenDigest: Uint8Array): void;
  /** Removes the host with its jobs and alerts; @returns whether there was one */
  removeHost(hostId: string): boolean;
  /** @returns the host's name; undefined if there is no such host */
  replaceToken(hostId: string, tokenDigest: Uint8Array): string | undefined;
  /** @returns whether there is such a host */
  renameHost(hostId: string, host: string): boolean;

  /** Sets every host offline as of now, unless it is pending or has an alert for being offline already. */
  forgetConnections(atMs: number): void;
  /** Forgets some of the jobs that were last heard of before that; @returns whether there may be more */
  forgetJobs(beforeMs: number): boolean;
  /** What `saveClock` saved. */
  clock(): number | undefined;
  saveClock(atMs: number): void;

  /** A number that is another one after another process has changed something. */
  version(): number;
  /** What other processes changed since `seq`, oldest first. */
  changesSince(seq: number): HostChange[];
  /** Forgets the changes up to `seq`: nobody needs to read them again. */
  forgetChanges(seq: number): void;
  lastChange(): number;

  close(): void;
}
