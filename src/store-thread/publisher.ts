import type { FleetTable } from '../shared/fleet-table.ts';
import type { Changes } from './changes.ts';
import type { Clients } from './clients.ts';
import type { Presence } from './presence.ts';
import type { FleetDatabase } from './sqlite/fleet-database.ts';
import type { StoreHealth } from './store-health.ts';

/** Shows what is in the database: to scrapes by the fleet table, and to the loops that agents connect to. */
export class Publisher {
  readonly #database: FleetDatabase;
  readonly #fleet: FleetTable | undefined;
  readonly #presence: Presence;
  readonly #clients: Clients;
  readonly #health: StoreHealth;

  /** @param fleet undefined in a process that does not serve */
  constructor(
    database: FleetDatabase,
    fleet: FleetTable | undefined,
    presence: Presence,
    clients: Clients,
    health: StoreHealth,
  ) {
    this.#health = health;
    this.#database = database;
    this.#fleet = fleet;
    this.#presence = presence;
    this.#clients = clients;
  }

  /** At the start: every host. */
  showAll(): void {
    for (const host of this.#database.hosts()) this.#fleet?.upsert(host);
  }

  /** To be called once the transaction that made the changes is on disk. */
  publish(changes: Changes): void {
    const { enrolled, removed, tokensReplaced } = changes;
    if (enrolled.length + removed.length > 0) {
      // A replaced token is removed with its host and added anew.
      this.#clients.tell({ removed: [...removed, ...tokensReplaced], added: enrolled });
    }
    for (const hostId of tokensReplaced) this.#disconnect(hostId, 'token_replaced');
    for (const { hostId, connection, online } of changes.appearances) {
      if (online) this.#connect(hostId, connection);
      else if (this.#presence.disconnect(hostId, connection)) changes.rows.add(hostId);
    }
    for (const hostId of changes.rows) this.#show(hostId);
    for (const hostId of removed) {
      this.#disconnect(hostId, 'removed');
      this.#presence.forget(hostId);
      this.#fleet?.remove(hostId);
    }
  }

  /** The agent left, and that could not be written: it is offline all the same. */
  showUnwrittenGoodbye(hostId: string, connection: number): void {
    if (!this.#presence.disconnect(hostId, connection)) return;
    this.#presence.rememberGoodbye(hostId, connection);
    this.#fleet?.setOnline(hostId, false);
  }

  #connect(hostId: string, connection: number): void {
    const replaced = this.#presence.connect(hostId, connection);
    if (replaced !== undefined) this.#clients.disconnect(replaced, 'replaced');
  }

  #disconnect(hostId: string, reason: 'removed' | 'token_replaced'): void {
    const connection = this.#presence.connectionOf(hostId);
    if (connection !== undefined) this.#clients.disconnect(connection, reason);
  }

  /** What is on disk is on disk: a host that cannot be shown must not keep the others from their answers. */
  #show(hostId: string): void {
    if (this.#fleet === undefined) return;
    try {
      const host = this.#database.host(hostId);
      if (host === undefined) this.#fleet.remove(hostId);
      else this.#fleet.upsert({ ...host, online: this.#presence.isOnline(hostId) });
    } catch (error) {
      this.#health.defect(error);
    }
  }
}
