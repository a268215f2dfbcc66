import type { EnrolledHost } from '../../contract/operations.ts';
import type { Changes } from '../changes.ts';
import type { HostRecord } from '../rules/records.ts';
import { type DatabaseClock, NOW_MS } from './database-clock.ts';
import { type HostChanges, READ_WITHIN_MS } from './host-changes.ts';
import { HOSTS_PAGE, type Hosts } from './hosts.ts';
import { KnownTokens } from './known-tokens.ts';
import { SERVER_PROCESS, type Session } from './session.ts';
import type { TokenRow, Tokens } from './tokens.ts';

/** How long one call may read the fleet after a reconnection. Meanwhile batches wait. */
const RELOAD_STEP_MS = 500;
/** Minimum pause between two polls. An unknown token causes a poll. */
const MIN_PAUSE_MS = 50;

export interface FollowerParts {
  readonly session: Session;
  readonly hosts: Hosts;
  readonly hostChanges: HostChanges;
  readonly tokens: Tokens;
  readonly clock: DatabaseClock;
}

/** A state of the database. */
interface State {
  readonly snapshot: string;
  readonly nowMs: number;
  readonly server: string;
}

/**
 * Reads what other processes commit. A row of `host_changes` has the id of its transaction. A poll reads
 * the rows of the transactions that the snapshot of the previous poll does not include, so no
 * commit can be missed and none is read twice, whatever the order of the commits. LISTEN and NOTIFY would
 * lose messages while there is no connection. After a reconnection, and on another server, this reads
 * everything.
 */
export class Follower {
  readonly #parts: FollowerParts;
  #known = new KnownTokens();
  /** The snapshot up to which everything was read. */
  #snapshot: string | undefined;
  /** The connection on which it was read. */
  #connection = 0;
  /** The server process on which it was read. */
  #server = '';
  /** The host up to which the hosts were read again; undefined if all were. */
  #reloadAfter: string | undefined;
  #lastPollAt = Number.NEGATIVE_INFINITY;
  /** The time of the database up to which everything was read. It also passes while this machine sleeps. */
  #readUntilMs = 0;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** To be called before the hosts are read at the start. */
  start(): void {
    const { session, tokens } = this.#parts;
    this.#connection = session.connection;
    this.#noteRead(this.#readSnapshot());
    this.#lastPollAt = performance.now();
    this.#reloadAfter = undefined;
    this.#known = new KnownTokens();
    for (const token of tokens.all()) this.#known.set(token);
  }

  /** Whether this instance has read everything that was committed until a moment ago. */
  get isCurrent(): boolean {
    return this.#connection === this.#parts.session.connection && this.#reloadAfter === undefined;
  }

  /** Adds to `changes` what other processes have committed since the last call. */
  follow(changes: Changes): void {
    const now = performance.now();
    if (now - this.#lastPollAt < MIN_PAUSE_MS) return;
    this.#lastPollAt = now;
    if (this.#connection !== this.#parts.session.connection || !this.#poll(changes)) {
      this.#beginReload(changes);
    }
    if (this.#reloadAfter !== undefined) this.#reload(changes);
  }

  enrolled(): EnrolledHost[] {
    return this.#known.all();
  }

  hostOfToken(tokenDigest: Uint8Array): string | undefined {
    return this.#known.hostOf(tokenDigest);
  }

  /** To be called after this instance has committed a change of tokens. */
  noteTokens(tokens: readonly TokenRow[]): void {
    for (const token of tokens) this.#known.set(token);
  }

  /** @returns false if changes may have been missed, or are too many: then everything must be read */
  #poll(changes: Changes): boolean {
    const { session, hosts, hostChanges, tokens } = this.#parts;
    const since = this.#snapshot ?? '';
    const read = session.reading(() => {
      const at = this.#readSnapshot();
      // The snapshot of one server says nothing about the transactions of another one.
      if (at.server !== this.#server) return undefined;
      if (at.nowMs - this.#readUntilMs > READ_WITHIN_MS) return undefined;
      const hostIds = hostChanges.since(since);
      if (hostIds.size > HOSTS_PAGE) return undefined;
      return {
        at,
        tokens: tokens.changedSince(since),
        hosts: hostIds.size === 0 ? [] : hosts.some([...hostIds]),
      };
    });
    if (read === undefined) return false;
    for (const token of read.tokens) this.#known.follow(token, changes);
    for (const host of read.hosts) changes.followed.push(host);
    this.#noteRead(read.at);
    return true;
  }

  #beginReload(changes: Changes): void {
    const { session, tokens } = this.#parts;
    const { connection } = session;
    // Before anything is read. So changes that are committed in the meantime may be read twice, but not missed.
    const at = this.#readSnapshot();
    this.#known.followAll([...tokens.all()], changes);
    this.#noteRead(at);
    this.#connection = connection;
    this.#reloadAfter = '';
  }

  #reload(changes: Changes): void {
    const endAt = performance.now() + RELOAD_STEP_MS;
    do {
      const page: HostRecord[] = this.#parts.hosts.page(this.#reloadAfter ?? '');
      for (const host of page) changes.followed.push(host);
      this.#reloadAfter = page.length < HOSTS_PAGE ? undefined : page.at(-1)?.hostId;
    } while (this.#reloadAfter !== undefined && performance.now() < endAt);
  }

  #readSnapshot(): State {
    const { session, clock } = this.#parts;
    const [[snapshot, nowMs, server] = ['', 0, '']] = session.rows<[string, number, string]>(
      `SELECT pg_current_snapshot()::text, ${NOW_MS}, ${SERVER_PROCESS}`,
    );
    clock.set(nowMs);
    return { snapshot, nowMs, server };
  }

  /** Notes the state up to which everything was read. */
  #noteRead({ snapshot, nowMs, server }: State): void {
    this.#snapshot = snapshot;
    this.#readUntilMs = nowMs;
    this.#server = server;
  }
}
