import type { DatabaseSync } from 'node:sqlite';
import type { Batches } from './batches.ts';
import { Changes } from './changes.ts';
import type { Presence } from './presence.ts';
import { PruneClock } from './prune-clock.ts';
import type { Publisher } from './publisher.ts';
import { OFFLINE_ALERT_AFTER_MS } from './rules/alert-rules.ts';
import { describeError, isUnavailable } from './sqlite/database.ts';
import type { FleetDatabase } from './sqlite/fleet-database.ts';
import type { StoreHealth } from './store-health.ts';

const OTHER_PROCESSES_POLL_MS = 50;
const FILES_POLL_MS = 1_000;
const GOODBYES_POLL_MS = 1_000;
const OFFLINE_ALERT_POLL_MS = 5_000;
const PRUNE_POLL_MS = 60_000;
const OFFLINE_ALERT_STEP = 500;
const STEP_PAUSE_MS = 100;
const CLOCK_POLL_MS = 60 * 60 * 1_000;

export interface HousekeepingOptions {
  readonly db: DatabaseSync;
  readonly database: FleetDatabase;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly batches: Batches;
  readonly health: StoreHealth;
  /** The last change by another process that the start has seen. */
  readonly lastChange: number;
}

/** What the store of a control plane does by itself. What cannot be done now is done at the next turn. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #timers: NodeJS.Timeout[];
  readonly #clock: PruneClock;
  readonly #dataVersionQuery;
  /** None, so that what happened during the start is looked at. */
  #dataVersion: number | undefined;
  /** Changes up to this one are deleted. */
  #forgotten: number;
  #lastChange: number;
  #prune: NodeJS.Timeout | undefined;
  #moreAlerts: NodeJS.Timeout | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    const { db, database, batches } = options;
    this.#dataVersionQuery = db.prepare('PRAGMA data_version');
    this.#lastChange = options.lastChange;
    this.#forgotten = options.lastChange;
    this.#clock = new PruneClock(database.clock());
    this.#timers = [
      setInterval(() => {
        this.followOtherProcesses();
        this.#forgetChanges();
      }, OTHER_PROCESSES_POLL_MS),
      setInterval(() => batches.checkFiles(), FILES_POLL_MS),
      setInterval(() => this.#writeGoodbyes(), GOODBYES_POLL_MS),
      setInterval(() => this.#alertOffline(), OFFLINE_ALERT_POLL_MS),
      setInterval(() => this.#saveClock(), CLOCK_POLL_MS),
    ];
    this.#saveClock();
    this.#pruneJobs();
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#prune);
    clearTimeout(this.#moreAlerts);
  }

  /** `data_version` moves when another process commits, as the `hosts` commands do. */
  followOtherProcesses(): void {
    const { health } = this.#options;
    try {
      const version = this.#readDataVersion();
      if (version === this.#dataVersion) return;
      this.#follow();
      this.#dataVersion = version;
    } catch (error) {
      if (isUnavailable(error)) health.failed(describeError(error).message);
      else health.defect(error);
    }
  }

  #follow(): void {
    const { database, publisher } = this.#options;
    const found = database.enrolment.changesSince(this.#lastChange);
    const last = found.at(-1)?.seq;
    if (last === undefined) return;
    const changes = new Changes();
    for (const { hostId, change, tokenDigest } of found) {
      if (tokenDigest === null) {
        database.jobs.forgetHost(hostId);
        changes.removed.push(hostId);
      } else if (change === 'renamed') changes.rows.add(hostId);
      else {
        if (change === 'token') changes.tokensReplaced.push(hostId);
        changes.enrolled.push([hostId, tokenDigest]);
      }
    }
    publisher.publish(changes);
    this.#lastChange = last;
    this.#forgetChanges();
  }

  /** Tells the command that waits for it. If another process has the lock, this is tried again at the next turn. */
  #forgetChanges(): void {
    const { database, batches } = this.#options;
    const last = this.#lastChange;
    if (last === this.#forgotten) return;
    if (batches.background(() => database.enrolment.forgetChanges(last))) this.#forgotten = last;
  }

  #readDataVersion(): number {
    return Number(this.#dataVersionQuery.get()?.data_version);
  }

  /** Each transaction writes them; this is for when there is no other. */
  #writeGoodbyes(): void {
    const { presence, batches } = this.#options;
    if (presence.unwritten.length > 0) batches.background(() => {});
  }

  /** In steps, since after a start without agents all of the fleet is due at once. */
  #alertOffline(): void {
    const { database, presence, batches } = this.#options;
    const hostIds = presence.offlineFor(OFFLINE_ALERT_AFTER_MS, OFFLINE_ALERT_STEP);
    if (hostIds.length === 0) return;
    if (!batches.background((changes) => database.alertOffline(hostIds, changes))) return;
    presence.noteAlerted(hostIds);
    if (hostIds.length === OFFLINE_ALERT_STEP) {
      this.#moreAlerts = setTimeout(() => this.#alertOffline(), STEP_PAUSE_MS);
    }
  }

  #pruneJobs(): void {
    const { database, batches } = this.#options;
    let more = false;
    batches.background(() => {
      more = database.jobs.prune(this.#clock.now());
    });
    this.#prune = setTimeout(() => this.#pruneJobs(), more ? STEP_PAUSE_MS : PRUNE_POLL_MS);
  }

  #saveClock(): void {
    const { database, batches } = this.#options;
    batches.background(() => database.saveClock(this.#clock.now()));
  }
}
