import {
  type LastJobRow,
  POSTGRES_LAST_JOBS,
  type ReportedJob,
  reportedJob,
} from '../../contract/last-jobs.ts';
import type { EnrolledHost } from '../../contract/operations.ts';
import type { Statement } from '../../contract/statements.ts';
import { RmError } from '../../errors.ts';
import { DATABASE_URL_EXPECTED, parseDatabaseUrl } from '../../platform/database-url.ts';
import type { Changes } from '../changes.ts';
import type { Engine, Failure, Missing, NewHost } from '../engine.ts';
import { type JobName, type Named, type NamedJob, Rows } from '../rows.ts';
import type { HostRecord } from '../rules/records.ts';
import { DatabaseClock } from './database-clock.ts';
import { failureOf, isDuplicate } from './database-error.ts';
import { Follower } from './follower.ts';
import { HostChanges } from './host-changes.ts';
import { Hosts } from './hosts.ts';
import { Instances, type Serving } from './instances.ts';
import { Jobs } from './jobs.ts';
import { KnownHosts } from './known-hosts.ts';
import { migrate } from './schema.ts';
import { SERVER_PROCESS, Session } from './session.ts';
import { type TokenRow, Tokens } from './tokens.ts';

/** How often an instance reads what others have committed. */
const FOLLOW_EVERY_MS = 250;
/** How long every job is looked up after one was not new. */
const LOOK_UP_MS = 10_000;
/** After this time every instance has read a commit, unless it has no connection. */
const FOLLOWED_AFTER_MS = 3 * FOLLOW_EVERY_MS;

/** The second column becomes the `xmin` of rows that the transaction writes. */
const SERVER_AND_TRANSACTION = `SELECT ${SERVER_PROCESS}, pg_current_xact_id()::xid`;

export interface PostgresOptions {
  /** Set by a control plane of the database. */
  readonly serves: Serving | undefined;
  /** Called with the number of jobs that were deleted early because their host has too many. */
  readonly onForgottenJobs: (jobs: number) => void;
  /** The clock that dates reports, for tests. Default: the clock of the database. */
  readonly now?: (() => number) | undefined;
  /** How often to read what others have committed, for tests. */
  readonly followEveryMs?: number | undefined;
}

/** Stores the fleet in PostgreSQL. Several processes may serve one database. */
export class PostgresEngine implements Engine {
  readonly place: string;
  readonly isNew: boolean;
  readonly followEveryMs: number;
  readonly #session: Session;
  readonly #serves: boolean;
  readonly #now: () => number;
  readonly #instances: Instances;
  readonly #hosts: Hosts;
  readonly #knownHosts = new KnownHosts();
  readonly #hostChanges: HostChanges;
  readonly #tokens: Tokens;
  readonly #jobs: Jobs;
  readonly #follower: Follower;
  /** Id of the current transaction, after it has loaded rows. */
  #transaction = '';
  /** Tokens that the current transaction has changed. */
  #changedTokens: TokenRow[] = [];
  #committedAt = Number.NEGATIVE_INFINITY;
  /** Whether the current transaction assumes that some jobs are new, without a look-up. */
  #tookForNew = false;
  #lookUpUntil = Number.NEGATIVE_INFINITY;
  #attempts = 0;

  private constructor(session: Session, place: string, isNew: boolean, options: PostgresOptions) {
    this.place = place;
    this.isNew = isNew;
    this.followEveryMs = options.followEveryMs ?? FOLLOW_EVERY_MS;
    this.#session = session;
    this.#serves = options.serves !== undefined;
    const clock = new DatabaseClock();
    this.#now = options.now ?? (() => clock.now());
    this.#instances = new Instances(session);
    const instance = options.serves && this.#instances.register(options.serves);
    this.#hosts = new Hosts(session, instance);
    this.#hostChanges = new HostChanges(session, instance);
    this.#tokens = new Tokens(session);
    this.#jobs = new Jobs(session, instance, options.onForgottenJobs);
    this.#follower = new Follower({
      session,
      hosts: this.#hosts,
      hostChanges: this.#hostChanges,
      tokens: this.#tokens,
      clock,
    });
    clock.read(session);
  }

  /**
   * Connects to the database, and creates or migrates the tables.
   * @param missing what happens if the database has no tables of this program
   * @throws RmError `invalid_settings`, `database_failed`, `database_too_new`, `database_too_old`,
   * `no_database`
   */
  static open(
    databaseUrl: string,
    options: PostgresOptions,
    missing: Missing = 'create',
  ): PostgresEngine {
    const parsed = parseDatabaseUrl(databaseUrl);
    if (parsed === undefined) {
      throw new RmError('invalid_settings', `database_url: must be ${DATABASE_URL_EXPECTED}`);
    }
    const { addresses, place } = parsed;
    const session = new Session(addresses);
    try {
      const isNew = migrate(session, place, missing);
      return new PostgresEngine(session, place, isNew, options);
    } catch (error) {
      session.close();
      throw error;
    }
  }

  now(): number {
    return this.#now();
  }

  isServed(): boolean {
    return this.#serves || this.#instances.isAnySeen();
  }

  /** No process locks the whole database, so there is nothing to wait for. */
  doNotWait(): void {}

  startServing(): void {
    this.#instances.forgetConnections(this.#now());
    this.#follower.start();
  }

  transaction<T>(work: () => T): T {
    const result = this.#tryTransaction(work);
    this.#follower.noteTokens(this.#changedTokens);
    this.#knownHosts.commit();
    this.#committedAt = performance.now();
    return result;
  }

  /**
   * A report that contains all data of a job is almost always the first one about it. So such jobs are not
   * looked up before the insert. If one exists, the insert fails, and the transaction runs again and looks up
   * every job.
   */
  #tryTransaction<T>(work: () => T): T {
    for (;;) {
      this.#changedTokens = [];
      this.#tookForNew = false;
      this.#knownHosts.forgetCurrent();
      try {
        return this.#session.transaction(work);
      } catch (error) {
        if (!this.#tookForNew || !isDuplicate(error)) throw error;
        this.#lookUpUntil = performance.now() + LOOK_UP_MS;
      }
    }
  }

  attempt<T>(work: () => T): T {
    const before = this.#changedTokens.length;
    this.#attempts++;
    try {
      return this.#session.attempt(work);
    } catch (error) {
      this.#changedTokens.length = before;
      this.#knownHosts.forgetCurrent();
      throw error;
    } finally {
      this.#attempts--;
    }
  }

  failure(error: unknown): Failure {
    return failureOf(error);
  }

  /**
   * A transaction holds the locks of its hosts until it has ended, also when its connection is lost. So if this gets
   * the lock of a host, all transactions that wrote its jobs have ended.
   */
  haveFinished(jobs: readonly JobName[]): readonly (boolean | undefined)[] {
    const hostIds = [...new Set(jobs.map(({ hostId }) => hostId))];
    const [free, there] = this.#session.runAll([
      this.#hosts.tryLock(hostIds),
      this.#hosts.exist(hostIds),
    ]);
    const locked = new Set(free?.rows.flat());
    const existing = new Set(there?.rows.flat());
    const [found] = this.#session.runAll([this.#jobs.selectOwnFinished(jobs)]);
    const own = new Set(found?.rows.map(([place]) => Number(place) - 1));
    return jobs.map(({ hostId }, index) => {
      if (locked.has(hostId)) return own.has(index);
      return existing.has(hostId) ? undefined : false;
    });
  }

  rowsWritten(): number {
    return this.#session.rowsWritten;
  }

  lost(): undefined {
    return undefined;
  }

  /**
   * Locks the hosts, so that no other instance changes them or their jobs before this transaction ends.
   * The jobs are read by a second statement: it sees what was committed while the first one waited.
   */
  load({ hostIds, jobs }: Named): Rows {
    const rows = new Rows();
    const statements = [this.#hosts.lock([...hostIds]), { text: SERVER_AND_TRANSACTION }];
    const looked = this.#toLookUp(jobs);
    if (looked.length > 0) statements.push(this.#jobs.select(looked));
    if (looked.length < jobs.length) this.#tookForNew = true;
    const [locked, identity, found] = this.#session.runAll(statements);
    const [[server, transaction] = ['', '']] = (identity?.rows ?? []) as [string, string][];
    this.#transaction = transaction;
    this.#knownHosts.noteServer(server);
    const newest = (locked?.rows ?? []) as [hostId: string, xmin: string][];
    const hosts = this.#knownHosts.rows(newest, (unknown) => this.#hosts.some(unknown));
    for (const host of hosts) rows.addHost(host);
    for (const row of found?.rows ?? []) {
      const job = this.#jobs.record(row, looked);
      if (job !== undefined) rows.addJob(job);
    }
    return rows;
  }

  #toLookUp(jobs: readonly NamedJob[]): readonly NamedJob[] {
    // In a savepoint, a failed insert would become the answer of the operation.
    if (this.#attempts > 0 || performance.now() < this.#lookUpUntil) return jobs;
    return jobs.filter(({ kind, startedAtMs }) => kind === undefined || startedAtMs === undefined);
  }

  write(rows: Rows): void {
    const hosts = rows.changedHosts();
    const jobs = rows.changedJobs();
    const statements: Statement[] = [];
    const update = this.#hosts.update(hosts);
    if (update !== undefined) {
      statements.push(update, this.#hostChanges.add(hosts.map(({ after }) => after.hostId)));
    }
    statements.push(...this.#jobs.write(jobs, this.#now()));
    if (statements.length === 0) return;
    this.#session.defer(statements);
    // A row that is written in a savepoint gets another `xmin`, so it will be read again.
    for (const { after } of hosts) this.#knownHosts.wrote(this.#transaction, after);
    this.#jobs.limit(jobs);
  }

  hosts(): Iterable<HostRecord> {
    return this.#hosts.all();
  }

  host(hostId: string): HostRecord | undefined {
    return this.#hosts.some([hostId])[0];
  }

  lastJobs(hostId: string): ReportedJob[] {
    return this.#session.rows<LastJobRow>(POSTGRES_LAST_JOBS, hostId).map(reportedJob);
  }

  enrolled(): EnrolledHost[] {
    return this.#follower.enrolled();
  }

  hostOfToken(tokenDigest: Uint8Array): string | undefined {
    return this.#follower.hostOfToken(tokenDigest);
  }

  addHosts(hosts: readonly NewHost[]): void {
    this.#session.runAll([
      this.#hosts.add(hosts, this.#now()),
      this.#hostChanges.add(hosts.map(({ hostId }) => hostId)),
      this.#tokens.add(hosts),
    ]);
    for (const { hostId, tokenDigest } of hosts) this.#changedTokens.push([hostId, tokenDigest]);
  }

  removeHost(hostId: string): boolean {
    if (!this.#hosts.remove(hostId)) return false;
    this.#knownHosts.forget(hostId);
    this.#jobs.forgetHost(hostId);
    this.#tokens.remove(hostId, this.#now());
    this.#changedTokens.push([hostId, null]);
    return true;
  }

  replaceToken(hostId: string, tokenDigest: Uint8Array): string | undefined {
    const host = this.#hosts.nameOf(hostId);
    if (host === undefined) return undefined;
    this.#tokens.replace(hostId, tokenDigest);
    this.#changedTokens.push([hostId, tokenDigest]);
    return host;
  }

  renameHost(hostId: string, host: string): boolean {
    if (!this.#hosts.rename(hostId, host)) return false;
    this.#knownHosts.forget(hostId);
    this.#session.runAll([this.#hostChanges.add([hostId])]);
    return true;
  }

  forgetJobs(beforeMs: number): boolean {
    this.#tokens.forgetRemoved(this.#now());
    this.#hostChanges.forget();
    return this.#jobs.forget(beforeMs);
  }

  clock(): number | undefined {
    return this.#session.rows<[number]>('SELECT at FROM clock')[0]?.[0];
  }

  saveClock(atMs: number): void {
    this.#session.run(
      'INSERT INTO clock (one, at) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET at = excluded.at',
      atMs,
    );
  }

  follow(changes: Changes): void {
    this.#instances.heartbeat();
    this.#instances.buryGone(this.#now());
    this.#follower.follow(changes);
    for (const hostId of changes.removed) this.#jobs.forgetHost(hostId);
  }

  /** Nothing to confirm: all instances read all changes. */
  readonly hasUnconfirmedChanges = false;
  confirmChanges(): void {}

  get isCurrent(): boolean {
    return this.#follower.isCurrent;
  }

  areChangesApplied(): boolean {
    if (this.#serves || !this.isServed()) return true;
    return performance.now() - this.#committedAt > FOLLOWED_AFTER_MS;
  }

  close(): void {
    this.#session.close();
  }
}
