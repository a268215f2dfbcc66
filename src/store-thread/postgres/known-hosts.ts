import type { HostRecord } from '../rules/records.ts';

/** Maximum number of hosts in memory. Further ones are read again when they report. */
export const MAX_KNOWN = 20_000;

interface Version {
  /** The column `xmin`: the id of the transaction that wrote this version of the row. */
  readonly xmin: string;
  readonly host: HostRecord;
}

/**
 * The rows of `hosts` that this instance has read or written last. Each host usually reports to one instance,
 * so a batch finds here almost all of its rows and reads only their `xmin`. A row that another transaction has
 * changed has another `xmin`.
 *
 * Two versions of a row have the same `xmin` only if one transaction wrote both, or on two servers: after a
 * failover, the new primary may use an id again. (An id is also used again after four billion transactions. A
 * host that has not reported since then would have to be written by exactly that one.)
 */
export class KnownHosts {
  /** The least recently used host comes first. */
  readonly #versions = new Map<string, Version>();
  /** What the current transaction has read and written. */
  readonly #current = new Map<string, Version>();
  #server = '';

  /** To be called at the start of a transaction, and when its writes since a savepoint are undone. */
  forgetCurrent(): void {
    this.#current.clear();
  }

  /** To be called with something that identifies the server process that runs the transaction. */
  noteServer(server: string): void {
    if (server !== this.#server) this.#versions.clear();
    this.#server = server;
  }

  /**
   * Returns the rows of which these are the newest versions.
   * @param read called with the ids of the hosts whose newest version is not known
   */
  rows(
    newest: readonly (readonly [hostId: string, xmin: string])[],
    read: (hostIds: readonly string[]) => readonly HostRecord[],
  ): HostRecord[] {
    const known: Version[] = [];
    const unknown = new Map<string, string>();
    for (const [hostId, xmin] of newest) {
      const version = this.#current.get(hostId) ?? this.#versions.get(hostId);
      if (version?.xmin === xmin) known.push(version);
      else unknown.set(hostId, xmin);
    }
    if (unknown.size > 0) {
      for (const host of read([...unknown.keys()])) {
        known.push({ host, xmin: unknown.get(host.hostId) ?? '' });
      }
    }
    for (const version of known) this.#current.set(version.host.hostId, version);
    return known.map(({ host }) => host);
  }

  /** Notes a row that the current transaction writes. Its id becomes the `xmin` of the row. */
  wrote(transaction: string, host: HostRecord): void {
    this.#current.set(host.hostId, { xmin: transaction, host });
  }

  /** To be called when the current transaction changes a row in another way. */
  forget(hostId: string): void {
    this.#current.delete(hostId);
  }

  /** To be called after the current transaction is committed. */
  commit(): void {
    for (const [hostId, version] of this.#current) {
      this.#versions.delete(hostId);
      this.#versions.set(hostId, version);
    }
    this.#current.clear();
    for (const hostId of this.#versions.keys()) {
      if (this.#versions.size <= MAX_KNOWN) break;
      this.#versions.delete(hostId);
    }
  }
}
