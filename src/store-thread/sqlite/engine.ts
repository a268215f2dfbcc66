import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import {
  type LastJobRow,
  type ReportedJob,
  reportedJob,
  SQLITE_LAST_JOBS,
} from '../../contract/last-jobs.ts';
import type { EnrolledHost } from '../../contract/operations.ts';
import type { Changes } from '../changes.ts';
import type { Engine, Failure, Missing, NewHost } from '../engine.ts';
import { type Named, Rows } from '../rows.ts';
import type { HostRecord } from '../rules/records.ts';
import { Alerts } from './alerts.ts';
import {
  databaseExists,
  describeError,
  doNotWait,
  failureKind,
  isBeingServed,
  lockForServing,
  openDatabase,
  transaction,
} from './database.ts';
import { DatabaseFiles } from './database-files.ts';
import { FollowedChanges } from './followed-changes.ts';
import { type HostChange, HostChanges } from './host-changes.ts';
import { Hosts } from './hosts.ts';
import { Jobs } from './jobs.ts';
import { Statements } from './statements.ts';

/** A call that finds nothing takes some microseconds. */
const FOLLOW_EVERY_MS = 50;

export interface SqliteOptions {
  /**
   * Whether this process is the control plane of the database. If not, it records its changes of hosts
   * for a control plane in another process.
   */
  readonly serves: boolean;
  /** Called with the number of jobs that were deleted early because their host has too many. */
  readonly onForgottenJobs: (jobs: number) => void;
}

/** Stores the fleet in SQLite, in `fleet.db` of the data directory. */
export class SqliteEngine implements Engine {
  readonly place: string;
  readonly isNew: boolean;
  readonly followEveryMs = FOLLOW_EVERY_MS;
  /** One process serves the database, and commands report nothing. */
  readonly isCurrent = true;
  readonly #db: DatabaseSync;
  readonly #isServed: () => boolean;
  readonly #files: DatabaseFiles | undefined;
  readonly #lock: DatabaseSync | undefined;
  readonly #statements: Statements;
  readonly #hosts: Hosts;
  readonly #alerts: Alerts;
  readonly #jobs: Jobs;
  readonly #hostChanges: HostChanges;
  readonly #followed: FollowedChanges;

  /** @param dataDir undefined for a database in memory */
  constructor(
    db: DatabaseSync,
    dataDir: string | undefined,
    { serves, onForgottenJobs }: SqliteOptions,
    isNew = true,
  ) {
    this.#db = db;
    this.isNew = isNew;
    this.place = dataDir === undefined ? 'memory' : join(dataDir, 'fleet.db');
    this.#isServed = () => serves || (dataDir !== undefined && isBeingServed(dataDir));
    if (serves && dataDir !== undefined) {
      this.#lock = lockForServing(dataDir);
      this.#files = new DatabaseFiles(dataDir);
    }
    this.#statements = new Statements(db);
    this.#hosts = new Hosts(this.#statements);
    this.#alerts = new Alerts(this.#statements);
    this.#jobs = new Jobs(this.#statements, onForgottenJobs);
    this.#hostChanges = new HostChanges(this.#statements, !serves);
    this.#followed = new FollowedChanges(this);
  }

  /** @throws RmError `database_failed`, `database_too_new`, `data_dir_locked`, `no_database` */
  static open(dataDir: string, options: SqliteOptions, missing?: Missing): SqliteEngine {
    const isNew = !databaseExists(dataDir);
    const db = openDatabase(dataDir, missing);
    try {
      return new SqliteEngine(db, dataDir, options, isNew);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  now(): number {
    return Date.now();
  }

  isServed(): boolean {
    return this.#isServed();
  }

  transaction<T>(work: () => T): T {
    return this.#droppingCounts(() => transaction(this.#db, work));
  }

  attempt<T>(work: () => T): T {
    this.#db.exec('SAVEPOINT attempt');
    try {
      const result = this.#droppingCounts(work);
      this.#db.exec('RELEASE attempt');
      return result;
    } catch (error) {
      // On a full disk SQLite has already rolled back the transaction.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK TO attempt; RELEASE attempt');
      throw error;
    }
  }

  /** Runs `work`. If it throws, the rollback leaves the counts in memory wrong, so they are dropped. */
  #droppingCounts<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#jobs.forgetCounts();
      throw error;
    }
  }

  doNotWait(): void {
    doNotWait(this.#db);
  }

  failure(error: unknown): Failure {
    return { kind: failureKind(error), ...describeError(error) };
  }

  /** No failure of SQLite is uncertain. */
  haveFinished(): readonly boolean[] {
    return [];
  }

  rowsWritten(): number {
    return this.#statements.get<[number]>('SELECT total_changes()')?.[0] ?? 0;
  }

  lost(): string | undefined {
    return this.#files?.changed();
  }

  load({ hostIds, jobs }: Named): Rows {
    const rows = new Rows();
    for (const hostId of hostIds) {
      const host = this.#hosts.get(hostId);
      if (host !== undefined) rows.addHost(host);
    }
    for (const { hostId, jobId } of jobs) {
      const job = this.#jobs.get(hostId, jobId);
      if (job !== undefined) rows.addJob(job);
    }
    return rows;
  }

  write(rows: Rows): void {
    for (const { before, after } of rows.changedHosts()) {
      this.#hosts.update(after);
      this.#alerts.update(before, after);
    }
    for (const job of rows.changedJobs()) this.#jobs.write(job);
  }

  hosts(): Iterable<HostRecord> {
    return this.#hosts.all();
  }

  lastJobs(hostId: string): ReportedJob[] {
    return this.#statements.all<LastJobRow>(SQLITE_LAST_JOBS, hostId).map(reportedJob);
  }

  enrolled(): EnrolledHost[] {
    return this.#hosts.enrolled();
  }

  hostOfToken(tokenDigest: Uint8Array): string | undefined {
    return this.#hosts.ofToken(tokenDigest);
  }

  addHosts(hosts: readonly NewHost[]): void {
    for (const { hostId, host, tokenDigest } of hosts) this.addHost(hostId, host, tokenDigest);
  }

  addHost(hostId: string, host: string, tokenDigest: Uint8Array): void {
    this.#hosts.add(hostId, host, tokenDigest);
    this.#hostChanges.add(hostId, 'added');
  }

  removeHost(hostId: string): boolean {
    this.#jobs.forgetHost(hostId);
    if (!this.#hosts.remove(hostId)) return false;
    this.#hostChanges.add(hostId, 'removed');
    return true;
  }

  replaceToken(hostId: string, tokenDigest: Uint8Array): string | undefined {
    const host = this.#hosts.replaceToken(hostId, tokenDigest);
    if (host !== undefined) this.#hostChanges.add(hostId, 'token');
    return host;
  }

  renameHost(hostId: string, host: string): boolean {
    if (!this.#hosts.rename(hostId, host)) return false;
    this.#hostChanges.add(hostId, 'renamed');
    return true;
  }

  startServing(): void {
    this.transaction(() => {
      this.forgetChanges(this.#followed.start());
      this.#hosts.forgetConnections(Date.now());
    });
  }

  forgetJobs(beforeMs: number): boolean {
    return this.#jobs.forget(beforeMs);
  }

  clock(): number | undefined {
    return this.#statements.get<[number]>('SELECT at FROM clock')?.[0];
  }

  saveClock(atMs: number): void {
    this.#statements.run('INSERT OR REPLACE INTO clock (one, at) VALUES (1, ?)', atMs);
  }

  follow(changes: Changes): void {
    this.#followed.follow(changes);
  }

  get hasUnconfirmedChanges(): boolean {
    return this.#followed.toDelete !== undefined;
  }

  /** Deletes the changes. The command that made them waits for that. */
  confirmChanges(): void {
    const seq = this.#followed.toDelete;
    if (seq === undefined) return;
    this.forgetChanges(seq);
    this.#followed.noteDeleted(seq);
  }

  areChangesApplied(): boolean {
    return !this.isServed() || this.changesSince(0).length === 0;
  }

  host(hostId: string): HostRecord | undefined {
    return this.#hosts.get(hostId);
  }

  /** https://www.sqlite.org/pragma.html#pragma_data_version */
  version(): number {
    return this.#statements.get<[number]>('PRAGMA data_version')?.[0] ?? 0;
  }

  changesSince(seq: number): HostChange[] {
    const changes = this.#hostChanges.since(seq);
    for (const { hostId, change } of changes)
      if (change === 'removed') this.#jobs.forgetHost(hostId);
    return changes;
  }

  forgetChanges(seq: number): void {
    this.#hostChanges.forget(seq);
  }

  lastChange(): number {
    return this.#hostChanges.last();
  }

  close(): void {
    this.#db.close();
    this.#lock?.close();
  }
}
