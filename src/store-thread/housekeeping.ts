import { noteRow } from './administration.ts';
import type { Batches } from './batches.ts';
import { Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import { PruneClock } from './prune-clock.ts';
import type { Publisher } from './publisher.ts';
import { OFFLINE_ALERT_AFTER_MS } from './rules/alerts.ts';
import type { StoreHealth } from './store-health.ts';

const OTHER_PROCESSES_POLL_MS = 50;
const FILES_POLL_MS = 1_000;
const GOODBYES_POLL_MS = 1_000;
const OFFLINE_ALERT_POLL_MS = 5_000;
const PRUNE_POLL_MS = 60_000;
/** Jobs are kept this long after the last report: a finish that is repeated later would count again. */
const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1_000;
const OFFLINE_ALERT_STEP = 500;
const STEP_PAUSE_MS = 100;
const CLOCK_POLL_MS = 60 * 60 * 1_000;

export interface HousekeepingOptions {
  readonly engine: Engine;
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
  /** None, so that what happened during the start is looked at. */
  #version: number | undefined;
  /** Changes up to this one are deleted. */
  #forgotten: number;
  #lastChange: number;
  #prune: NodeJS.Timeout | undefined;
  #moreAlerts: NodeJS.Timeout | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    const { engine, batches } = options;
    this.#lastChange = options.lastChange;
    this.#forgotten = options.lastChange;
    this.#clock = new PruneClock(engine.clock());
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

  /** The version is another one when another process has committed, as the `hosts` commands do. */
  followOtherProcesses(): void {
    const { engine, health } = this.#options;
    try {
      const version = engine.version();
      if (version === this.#version) return;
      this.#follow();
      this.#version = version;
    } catch (error) {
      const { kind, message } = engine.failure(error);
      if (kind === 'operation') health.defect(error);
      else health.failed(message);
    }
  }

  #follow(): void {
    const { engine, publisher } = this.#options;
    const found = engine.changesSince(this.#lastChange);
    const last = found.at(-1)?.seq;
    if (last === undefined) return;
    const changes = new Changes();
    for (const { hostId, change, tokenDigest } of found) {
      if (tokenDigest === null) changes.removed.push(hostId);
      else if (change === 'renamed') noteRow(engine, hostId, changes);
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
    const { engine, batches } = this.#options;
    const last = this.#lastChange;
    if (last === this.#forgotten) return;
    if (batches.background(() => engine.forgetChanges(last))) this.#forgotten = last;
  }

  /** Each transaction writes them; this is for when there is no other. */
  #writeGoodbyes(): void {
    const { presence, batches } = this.#options;
    if (presence.unwritten.length > 0) batches.report([]);
  }

  /** In steps, since after a start without agents all of the fleet is due at once. */
  #alertOffline(): void {
    const { presence, batches } = this.#options;
    const hostIds = presence.offlineFor(OFFLINE_ALERT_AFTER_MS, OFFLINE_ALERT_STEP);
    if (hostIds.length === 0) return;
    const reports = hostIds.map((hostId) => ['offline', { hostId }] as const);
    if (!batches.report(reports)) return;
    presence.noteAlerted(hostIds);
    if (hostIds.length === OFFLINE_ALERT_STEP) {
      this.#moreAlerts = setTimeout(() => this.#alertOffline(), STEP_PAUSE_MS);
    }
  }

  #pruneJobs(): void {
    const { engine, batches } = this.#options;
    let more = false;
    batches.background(() => {
      more = engine.forgetJobs(this.#clock.now() - JOBS_KEPT_MS);
    });
    this.#prune = setTimeout(() => this.#pruneJobs(), more ? STEP_PAUSE_MS : PRUNE_POLL_MS);
  }

  #saveClock(): void {
    const { engine, batches } = this.#options;
    batches.background(() => engine.saveClock(this.#clock.now()));
  }
}
