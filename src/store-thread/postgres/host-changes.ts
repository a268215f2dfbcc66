import type { Statement } from '../../contract/statements.ts';
import type { Session } from './session.ts';

/** How long the rows are kept. */
const KEPT = "interval '2 minutes'";
/** An instance that has not read the rows for this time must read all hosts. */
export const READ_WITHIN_MS = 60_000;

/**
 * The table `host_changes`: which hosts a transaction has changed. One row for each transaction is
 * cheaper than an index on `hosts` that every update would have to write.
 */
export class HostChanges {
  readonly #session: Session;
  /** Number of this instance; undefined in a process that does not serve. */
  readonly #instance: number | undefined;

  constructor(session: Session, instance: number | undefined) {
    this.#session = session;
    this.#instance = instance;
  }

  /** The statement that records for the other instances that these hosts have changed. */
  add(hostIds: readonly string[]): Statement {
    return {
      text: 'INSERT INTO host_changes (instance, host_ids) VALUES ($1::bigint, $2::text[])',
      values: [this.#instance ?? null, hostIds],
    };
  }

  /** Hosts that others changed in transactions that the snapshot does not include. */
  since(snapshot: string): Set<string> {
    const rows = this.#session.rows<[string[]]>(
      `SELECT host_ids FROM host_changes
       WHERE changed >= pg_snapshot_xmin($1::pg_snapshot)
         AND NOT pg_visible_in_snapshot(changed, $1::pg_snapshot)
         AND instance IS DISTINCT FROM $2::bigint`,
      snapshot,
      this.#instance ?? null,
    );
    const hostIds = new Set<string>();
    for (const [ids] of rows) for (const hostId of ids) hostIds.add(hostId);
    return hostIds;
  }

  /** Deletes the rows that every instance has read. */
  forget(): void {
    this.#session.run(`DELETE FROM host_changes WHERE at < clock_timestamp() - ${KEPT}`);
  }
}
