import type { Shard } from '../../contract/shard.ts';
import type { Session } from './session.ts';

const HEARTBEAT_MS = 10_000;
/** An instance that has given no sign for this time is gone, and so are its connections. */
const GONE_AFTER = "interval '30 seconds'";
const FORGOTTEN_AFTER = "interval '30 days'";
const GONE_AFTER_MS = 30_000;
const BURY_EVERY_MS = 1_000;
/** The writer of all processes that have no number yet. Numbers start at 1. */
const STARTING = 0;
/** Number of hosts that one transaction marks offline. */
const STEP = 2_000;

/** What a control plane registers about itself. */
export interface Serving {
  readonly shard: Shard;
  /** Called at a heartbeat when another instance has the same shard. */
  readonly onSharedShard: () => void;
}

/**
 * The table `instances`: the processes that serve this database. Its times are from the clock of the
 * database, so the clocks of the instances do not matter.
 */
export class Instances {
  readonly #session: Session;
  #instance: number | undefined;
  #onSharedShard: () => void = () => {};
  #seenAt = Number.NEGATIVE_INFINITY;
  #buriedAt = Number.NEGATIVE_INFINITY;
  /** The time since which every heartbeat of this instance was in time. */
  #aliveSince = Number.NEGATIVE_INFINITY;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Adds this process. @returns its number, which is unique */
  register({ shard, onSharedShard }: Serving): number {
    this.#onSharedShard = onSharedShard;
    this.#session.writeAs(STARTING);
    const { rows } = this.#session.run(
      'INSERT INTO instances (shard, shards) VALUES ($1, $2) RETURNING instance',
      shard.index,
      shard.count,
    );
    const instance = Number(rows[0]?.[0]);
    this.#instance = instance;
    this.#session.writeAs(instance);
    this.#aliveSince = performance.now();
    this.#seenAt = this.#aliveSince;
    return instance;
  }

  /** Returns whether any process serves the database. */
  isAnySeen(): boolean {
    const sql = `SELECT EXISTS (SELECT FROM instances WHERE seen_at > clock_timestamp() - ${GONE_AFTER})`;
    return this.#session.rows<[boolean]>(sql)[0]?.[0] === true;
  }

  /** Records every 10 s that this instance is alive. */
  heartbeat(): void {
    const now = performance.now();
    if (this.#instance === undefined || now - this.#seenAt < HEARTBEAT_MS) return;
    // An instance without a sign since this one started has ended. This one may be its successor.
    const { rows } = this.#session.run(
      `UPDATE instances i SET seen_at = clock_timestamp(), is_gone = false WHERE instance = $1
       RETURNING EXISTS (SELECT FROM instances o WHERE o.instance <> i.instance
         AND o.shard = i.shard AND o.shards = i.shards
         AND o.seen_at > greatest(i.started_at, clock_timestamp() - ${GONE_AFTER}))`,
      this.#instance,
    );
    if (rows[0]?.[0] === true) this.#onSharedShard();
    if (now - this.#seenAt > GONE_AFTER_MS) this.#aliveSince = now;
    this.#seenAt = now;
  }

  /**
   * Marks the hosts offline of instances that have given no sign for 30 s. After an outage of the database
   * this is true of all instances. So this one first waits until the others could give a sign.
   */
  buryGone(atMs: number): void {
    const now = performance.now();
    if (now - this.#aliveSince < GONE_AFTER_MS || now - this.#buriedAt < BURY_EVERY_MS) return;
    this.#buriedAt = now;
    const gone = this.#session.rows<[number]>(
      `SELECT instance FROM instances WHERE NOT is_gone AND seen_at < clock_timestamp() - ${GONE_AFTER}`,
    );
    for (const [instance] of gone) {
      if (this.#markOffline(atMs, 'instance = $1', instance)) continue; // the next call continues
      // Unless it has given a sign in the meantime.
      this.#session.run(
        `UPDATE instances SET is_gone = true
         WHERE instance = $1 AND seen_at < clock_timestamp() - ${GONE_AFTER}`,
        instance,
      );
    }
    if (gone.length > 0) this.#forgetOld();
  }

  /** Each start of a process adds a row. No process that was stopped for so long continues. */
  #forgetOld(): void {
    this.#session.run(
      `DELETE FROM instances WHERE is_gone AND seen_at < clock_timestamp() - ${FORGOTTEN_AFTER}`,
    );
  }

  /**
   * Marks the hosts offline whose connection cannot exist: those of this instance, which is just starting,
   * and those of instances that are gone.
   */
  forgetConnections(atMs: number): void {
    const isNobodys = `instance IS NOT NULL AND (instance = $1 OR NOT EXISTS (
      SELECT FROM instances i WHERE i.instance = hosts.instance
        AND i.seen_at > clock_timestamp() - ${GONE_AFTER}))`;
    while (this.#markOffline(atMs, isNobodys, this.#instance ?? -1));
  }

  /**
   * Marks some hosts offline. No instance has published this, so all instances read it as a change.
   * @returns whether there may be more
   */
  #markOffline(atMs: number, condition: string, instance: number): boolean {
    return this.#session.transaction(() => {
      const { rows } = this.#session.run(
        `WITH freed AS (
           UPDATE hosts SET status = 'offline', instance = NULL, connection = NULL, offline_since = $2
           WHERE host_id IN (SELECT host_id FROM hosts WHERE ${condition}
             ORDER BY host_id LIMIT ${STEP} FOR UPDATE)
           RETURNING host_id)
         INSERT INTO host_changes (instance, host_ids)
         SELECT NULL, array_agg(host_id) FROM freed HAVING count(*) > 0
         RETURNING cardinality(host_ids)`,
        instance,
        atMs,
      );
      return rows[0]?.[0] === STEP;
    });
  }
}
