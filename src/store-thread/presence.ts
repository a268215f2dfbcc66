import { orderOf } from '../contract/operations.ts';
import { allowedSilenceMs } from './rules/connections.ts';
import type { HostRecord } from './rules/records.ts';

/** A goodbye that could not be written to the database yet. */
export interface UnwrittenGoodbye {
  readonly hostId: string;
  readonly connection: number;
  /** Unix time in milliseconds at which the connection was closed. */
  readonly atMs: number;
}

/** A host that is online because of messages over HTTP. */
interface Reporting {
  /** Monotonic time up to which it is online. */
  readonly until: number;
  /** Unix time in milliseconds of its last message. */
  readonly reportedAtMs: number;
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
  /** Hosts without a connection that are online by messages over HTTP. */
  readonly #reporting = new Map<string, Reporting>();
  /** Hosts that are online by a connection to another instance. */
  readonly #elsewhere = new Set<string>();
  /** Hosts with a connection to this instance that another instance has marked offline. */
  readonly #toResume = new Set<string>();
  /** By connection, oldest first. */
  readonly #unwritten = new Map<number, UnwrittenGoodbye>();
  readonly #now: () => number;

  /** @param now the Unix time in milliseconds by which reports are dated */
  constructor(now: () => number) {
    this.#now = now;
  }

  isOnline(hostId: string): boolean {
    return (
      this.#connections.has(hostId) || this.#reporting.has(hostId) || this.#elsewhere.has(hostId)
    );
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
    this.#elsewhere.delete(hostId);
    this.#reporting.delete(hostId);
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

  /**
   * Marks a host without a connection online for the given number of milliseconds.
   * @param reportedAtMs Unix time in milliseconds of its last message
   */
  keepOnline(hostId: string, ms: number, reportedAtMs: number): void {
    this.#reporting.set(hostId, { until: performance.now() + ms, reportedAtMs });
    this.#offlineSince.delete(hostId);
  }

  /** Returns hosts whose time from `keepOnline` is over, with the time of their last message. */
  silentHosts(limit: number): { hostId: string; reportedAtMs: number }[] {
    const now = performance.now();
    const silent: { hostId: string; reportedAtMs: number }[] = [];
    for (const [hostId, { until, reportedAtMs }] of this.#reporting) {
      if (until > now) continue;
      silent.push({ hostId, reportedAtMs });
      if (silent.length === limit) break;
    }
    return silent;
  }

  /** Marks a host offline whose time from `keepOnline` is over. */
  noteSilent(hostId: string): void {
    if (this.#reporting.delete(hostId)) this.startOffline(hostId);
  }

  /**
   * Starts to measure a host without a connection to this instance: its offline time, unless it has an
   * offline alert, or the rest of the time in which it may be silent.
   * @param nowMs the time by which reports are dated
   */
  restore(host: HostRecord, nowMs: number): void {
    const { hostId, reportedAtMs } = host;
    if (host.isElsewhere) this.#elsewhere.add(hostId);
    else this.#elsewhere.delete(hostId);
    if (reportedAtMs !== undefined) {
      // If the clock was set back since the report, the silence counts as zero.
      const silentMs = Math.max(0, nowMs - reportedAtMs);
      this.keepOnline(hostId, allowedSilenceMs(host) - silentMs, reportedAtMs);
      return;
    }
    this.#reporting.delete(hostId);
    const isMeasured = host.status === 'offline' && host.alerts.agent_offline === undefined;
    if (!isMeasured) this.#offlineSince.delete(hostId);
    else if (!this.#offlineSince.has(hostId)) this.startOffline(hostId);
  }

  /**
   * Applies what another instance wrote about a host.
   * @returns the connection to this instance that was replaced by one to another instance; the caller must
   * close it
   */
  follow(host: HostRecord, nowMs: number): number | undefined {
    const { hostId, connection } = host;
    const own = this.#connections.get(hostId);
    if (own !== undefined && own === connection) return undefined;
    if (own !== undefined && !host.isElsewhere) {
      this.#toResume.add(hostId);
      return undefined;
    }
    this.#connections.delete(hostId);
    this.restore(host, nowMs);
    if (connection !== undefined) {
      // Its hello was committed, but the agent got no answer, because the connection to the database was lost.
      this.rememberGoodbye(hostId, connection);
      this.startOffline(hostId);
    }
    return own;
  }

  /** The host has connected to another instance. Returns the same as `follow`. */
  leaveToOther(hostId: string): number | undefined {
    const own = this.#connections.get(hostId);
    this.forget(hostId);
    this.#elsewhere.add(hostId);
    return own;
  }

  /**
   * Some hosts that another instance has marked offline, although they have a connection to this instance.
   * @param limit maximum number
   */
  toResume(limit: number): { hostId: string; connection: number }[] {
    const taken: { hostId: string; connection: number }[] = [];
    for (const hostId of this.#toResume) {
      if (taken.length >= limit) break;
      const connection = this.#connections.get(hostId);
      if (connection === undefined) this.#toResume.delete(hostId);
      else taken.push({ hostId, connection });
    }
    return taken;
  }

  /** To be called after the transaction that marked these hosts online was committed. */
  noteResumed(hosts: readonly { readonly hostId: string }[]): void {
    for (const { hostId } of hosts) this.#toResume.delete(hostId);
  }

  /** Remembers a goodbye that could not be written. */
  rememberGoodbye(hostId: string, connection: number): void {
    if (this.#unwritten.has(connection)) return;
    this.#unwritten.set(connection, { hostId, connection, atMs: this.#now() });
  }

  /** Measures the offline time of the host from now on. */
  startOffline(hostId: string): void {
    this.#offlineSince.delete(hostId);
    this.#offlineSince.set(hostId, performance.now());
  }

  forget(hostId: string): void {
    this.#connections.delete(hostId);
    this.#elsewhere.delete(hostId);
    this.#reporting.delete(hostId);
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
    return [...this.#unwritten.values()];
  }

  /** To be called after the transaction that wrote these goodbyes was committed. */
  noteWritten(goodbyes: readonly UnwrittenGoodbye[]): void {
    for (const { connection } of goodbyes) this.#unwritten.delete(connection);
  }
}
