import { orderOf } from '../contract/operations.ts';

/** A goodbye that could not be written to the database yet. */
export interface UnwrittenGoodbye {
  readonly hostId: string;
  readonly connection: number;
  /** Unix time in milliseconds at which the connection was closed. */
  readonly atMs: number;
}

/**
 * Who is online: the connection of each host that has one, the time until which a host that reports by HTTP
 * stays online, and the time at which each other host went offline. This state is in memory, because a host
 * whose connection closes must be shown offline even while the database cannot be written. Times are from the
 * monotonic clock, so a change of the system clock does not affect them.
 */
export class Presence {
  readonly #connections = new Map<string, number>();
  /**
   * Monotonic time at which a host went offline, oldest first: a host is always inserted at the end.
   * Hosts that already have the alert are not in it.
   */
  readonly #offlineSince = new Map<string, number>();
  /** Monotonic time up to which a host without a connection is online. */
  readonly #onlineUntil = new Map<string, number>();
  #unwritten: UnwrittenGoodbye[] = [];

  isOnline(hostId: string): boolean {
    return this.#connections.has(hostId) || this.#onlineUntil.has(hostId);
  }

  connectionOf(hostId: string): number | undefined {
    return this.#connections.get(hostId);
  }

  /**
   * Marks the host online. If it already has a connection, the newer one of the two is kept.
   * @returns the older one, which the caller must close; undefined if there is none
   */
  connect(hostId: string, connection: number): number | undefined {
    const current = this.#connections.get(hostId);
    if (current !== undefined && orderOf(current) > orderOf(connection)) return connection;
    this.#connections.set(hostId, connection);
    this.#onlineUntil.delete(hostId);
    this.#offlineSince.delete(hostId);
    return current === connection ? undefined : current;
  }

  /**
   * Marks the host offline unless it has another connection by now.
   * @returns whether the host went offline
   */
  disconnect(hostId: string, connection: number): boolean {
    if (this.#connections.get(hostId) !== connection) return false;
    this.#connections.delete(hostId);
    this.startOffline(hostId);
    return true;
  }

  /** Marks a host without a connection online for the given number of milliseconds. */
  keepOnline(hostId: string, ms: number): void {
    this.#onlineUntil.set(hostId, performance.now() + ms);
    this.#offlineSince.delete(hostId);
  }

  /** Returns hosts whose time from `keepOnline` is over. */
  silentHosts(limit: number): string[] {
    const now = performance.now();
    const hostIds: string[] = [];
    for (const [hostId, until] of this.#onlineUntil) {
      if (until > now) continue;
      hostIds.push(hostId);
      if (hostIds.length === limit) break;
    }
    return hostIds;
  }

  /** Marks a host offline whose time from `keepOnline` is over. */
  noteSilent(hostId: string): void {
    if (this.#onlineUntil.delete(hostId)) this.startOffline(hostId);
  }

  /** Remembers a goodbye that could not be written. */
  rememberGoodbye(hostId: string, connection: number): void {
    this.#unwritten.push({ hostId, connection, atMs: Date.now() });
  }

  /** Measures the offline time of the host from now on. */
  startOffline(hostId: string): void {
    this.#offlineSince.delete(hostId);
    this.#offlineSince.set(hostId, performance.now());
  }

  forget(hostId: string): void {
    this.#connections.delete(hostId);
    this.#onlineUntil.delete(hostId);
    this.#offlineSince.delete(hostId);
  }

  /**
   * Returns hosts that have been offline for longer than `ms` and for which `noteAlerted` was not
   * called since. The longest offline come first.
   */
  offlineFor(ms: number, limit: number): string[] {
    const until = performance.now() - ms;
    const hostIds: string[] = [];
    for (const [hostId, since] of this.#offlineSince) {
      if (since >= until || hostIds.length === limit) break;
      hostIds.push(hostId);
    }
    return hostIds;
  }

  /** The alerts of these hosts are open, so their offline time need not be measured any more. */
  noteAlerted(hostIds: readonly string[]): void {
    for (const hostId of hostIds) this.#offlineSince.delete(hostId);
  }

  /** Goodbyes that must still be written, oldest first. */
  get unwritten(): readonly UnwrittenGoodbye[] {
    return this.#unwritten;
  }

  /** To be called after the transaction that wrote these goodbyes was committed. */
  noteWritten(goodbyes: readonly UnwrittenGoodbye[]): void {
    const written = new Set(goodbyes);
    this.#unwritten = this.#unwritten.filter((goodbye) => !written.has(goodbye));
  }
}
