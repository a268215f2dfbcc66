import { orderOf } from '../contract/operations.ts';

/** A host that went offline, by a goodbye that is not in the database yet. */
export interface UnwrittenGoodbye {
  readonly hostId: string;
  readonly connection: number;
  /** Unix time in milliseconds, to be shown. */
  readonly atMs: number;
}

/**
 * Which hosts are online, by which connection, and since when the others are not. This is kept in memory: a host
 * is offline when its connection is closed, also while the database cannot be written. How long a host is
 * offline is measured by the monotonic clock, so that steps of the system's clock do not count.
 */
export class Presence {
  readonly #connections = new Map<string, number>();
  /** In the order of time, since every host is added when it goes offline. */
  readonly #offlineSince = new Map<string, number>();
  #unwritten: UnwrittenGoodbye[] = [];

  isOnline(hostId: string): boolean {
    return this.#connections.has(hostId);
  }

  connectionOf(hostId: string): number | undefined {
    return this.#connections.get(hostId);
  }

  /**
   * The host is online, by the newer one of this connection and the one that it has.
   * @returns the older one
   */
  connect(hostId: string, connection: number): number | undefined {
    const before = this.#connections.get(hostId);
    if (before !== undefined && orderOf(before) > orderOf(connection)) return connection;
    this.#connections.set(hostId, connection);
    this.#offlineSince.delete(hostId);
    return before === connection ? undefined : before;
  }

  /** @returns whether the host is offline now; not if it has a newer connection */
  disconnect(hostId: string, connection: number): boolean {
    if (this.#connections.get(hostId) !== connection) return false;
    this.#connections.delete(hostId);
    this.startOffline(hostId);
    return true;
  }

  /** This goodbye could not be written. */
  rememberGoodbye(hostId: string, connection: number): void {
    this.#unwritten.push({ hostId, connection, atMs: Date.now() });
  }

  /** From now on the time counts in which the host is offline. */
  startOffline(hostId: string): void {
    this.#offlineSince.delete(hostId);
    this.#offlineSince.set(hostId, performance.now());
  }

  forget(hostId: string): void {
    this.#connections.delete(hostId);
    this.#offlineSince.delete(hostId);
  }

  /** Some of the hosts that have been offline for longer than that, and that `noteAlerted` was not called for. */
  offlineFor(ms: number, limit: number): string[] {
    const until = performance.now() - ms;
    const hostIds: string[] = [];
    for (const [hostId, since] of this.#offlineSince) {
      if (since >= until || hostIds.length === limit) break;
      hostIds.push(hostId);
    }
    return hostIds;
  }

  noteAlerted(hostIds: readonly string[]): void {
    for (const hostId of hostIds) this.#offlineSince.delete(hostId);
  }

  /** Goodbyes that have to be written, oldest first. */
  get unwritten(): readonly UnwrittenGoodbye[] {
    return this.#unwritten;
  }

  /** Those are in the database now. */
  noteWritten(goodbyes: readonly UnwrittenGoodbye[]): void {
    const written = new Set(goodbyes);
    this.#unwritten = this.#unwritten.filter((goodbye) => !written.has(goodbye));
  }
}
