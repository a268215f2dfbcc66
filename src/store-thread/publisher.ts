import { IS_PENDING } from '../shared/fleet-layout.ts';
import type { FleetTable } from '../shared/fleet-table.ts';
import type { AddedHost, Changes } from './changes.ts';
import type { Clients } from './clients.ts';
import type { Presence } from './presence.ts';
import { allowedSilenceMs } from './rules/connections.ts';
import type { HostRecord } from './rules/records.ts';
import { alertBits, pendingHost, shownHost } from './rules/views.ts';
import type { StoreHealth } from './store-health.ts';

/** The tables in which hosts are shown. */
export interface ShownIn {
  /** The hosts of the exposition. */
  readonly fleet: FleetTable;
  /**
   * The hosts that only the API shows: pending ones, and those of other shards. Undefined if there is no
   * API.
   */
  readonly others: FleetTable | undefined;
}

/**
 * Shows committed changes: to scrapes through the fleet table, and to the loops as token changes and
 * as connections to close.
 */
export class Publisher {
  readonly #fleet: FleetTable | undefined;
  readonly #others: FleetTable | undefined;
  readonly #presence: Presence;
  readonly #clients: Clients;
  readonly #health: StoreHealth;
  /** Hosts of the shard that are enrolled and have never connected. */
  readonly #pending = new Set<string>();

  /** @param shownIn undefined in a process that does not serve */
  constructor(
    shownIn: ShownIn | undefined,
    presence: Presence,
    clients: Clients,
    health: StoreHealth,
  ) {
    this.#health = health;
    this.#fleet = shownIn?.fleet;
    this.#others = shownIn?.others;
    this.#presence = presence;
    this.#clients = clients;
  }

  /**
   * To be called with what other processes have changed.
   * @param nowMs the time by which reports are dated
   */
  publishFollowed(changes: Changes, nowMs: number): void {
    for (const host of changes.followed) {
      const replaced = this.#presence.follow(host, nowMs);
      if (replaced !== undefined) this.#clients.disconnect(replaced, 'replaced');
      this.#show(host);
    }
    this.publish(changes);
  }

  /**
   * To be called at the start, with every host.
   * @returns the number of hosts
   */
  showAll(hosts: Iterable<HostRecord>): number {
    let count = 0;
    for (const host of hosts) {
      this.#show(host);
      count++;
    }
    this.#fleet?.setPending(this.#pending.size);
    return count;
  }

  /** To be called after the transaction that made the changes was committed. */
  publish(changes: Changes): void {
    const { removed, tokensReplaced } = changes;
    const gone = new Set(removed);
    const enrolled = changes.enrolled.filter(([hostId]) => !gone.has(hostId));
    if (enrolled.length + removed.length > 0) {
      // A loop removes the old token of a host before it adds the new one.
      this.#clients.tell({ removed: [...removed, ...tokensReplaced], added: enrolled });
    }
    for (const hostId of tokensReplaced) this.#closeConnection(hostId, 'token_replaced');
    for (const { hostId, connection, online } of changes.appearances) {
      if (online) this.#connect(hostId, connection);
      else this.#presence.disconnect(hostId, connection);
    }
    for (const hostId of changes.silent) this.#presence.noteSilent(hostId);
    for (const hostId of changes.seen) {
      const host = changes.hosts.get(hostId);
      if (host?.reportedAtMs === undefined) continue; // it has a connection
      this.#presence.keepOnline(hostId, allowedSilenceMs(host), host.reportedAtMs);
    }
    for (const host of changes.added) this.#showPending(host);
    for (const host of changes.hosts.values()) {
      if (host.isElsewhere) this.#leaveToOther(host.hostId);
      this.#show(host);
    }
    for (const hostId of removed) {
      this.#pending.delete(hostId);
      this.#closeConnection(hostId, 'removed');
      this.#presence.forget(hostId);
      this.#fleet?.remove(hostId);
      this.#others?.remove(hostId);
    }
    this.#fleet?.setPending(this.#pending.size);
  }

  /** Shows the host offline although its goodbye could not be written. */
  showUnwrittenGoodbye(hostId: string, connection: number): void {
    if (!this.#presence.disconnect(hostId, connection)) return;
    this.#presence.rememberGoodbye(hostId, connection);
    if (!this.#fleet?.setOnline(hostId, false)) this.#others?.setOnline(hostId, false);
  }

  #show(host: HostRecord): void {
    if (host.status === 'pending') return this.#showPending(host);
    const wasPending = this.#pending.delete(host.hostId);
    this.#upsert(host);
    // Afterwards, so that a reader of both tables may find the host twice, but never misses it.
    if (wasPending) this.#others?.remove(host.hostId);
  }

  /** A pending host of another shard is counted there. */
  #showPending({ hostId, host }: AddedHost): void {
    if (this.#fleet?.contains(hostId)) this.#pending.add(hostId);
    this.#neverThrowing(() => this.#others?.upsert(pendingHost(hostId, host), IS_PENDING));
  }

  #connect(hostId: string, connection: number): void {
    const replaced = this.#presence.connect(hostId, connection);
    if (replaced !== undefined) this.#clients.disconnect(replaced, 'replaced');
  }

  /** This instance has written a host that has meanwhile connected to another one. */
  #leaveToOther(hostId: string): void {
    const replaced = this.#presence.leaveToOther(hostId);
    if (replaced !== undefined) this.#clients.disconnect(replaced, 'replaced');
  }

  #closeConnection(hostId: string, reason: 'removed' | 'token_replaced'): void {
    const connection = this.#presence.connectionOf(hostId);
    if (connection !== undefined) this.#clients.disconnect(connection, reason);
  }

  #upsert(record: HostRecord): void {
    this.#neverThrowing(() => {
      const host = shownHost(record, this.#presence.isOnline(record.hostId));
      if (host === undefined) return;
      const isOther = this.#others !== undefined && !this.#fleet?.contains(host.hostId);
      (isOther ? this.#others : this.#fleet)?.upsert(host, alertBits(record));
    });
  }

  /**
   * The changes are committed, so a host that cannot be shown must not prevent the answers for the other
   * hosts.
   */
  #neverThrowing(show: () => void): void {
    try {
      show();
    } catch (error) {
      this.#health.defect(error);
    }
  }
}
