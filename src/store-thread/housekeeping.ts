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
const SILENCE_POLL_MS = 5_000;
const OFFLINE_ALERT_POLL_MS = 5_000;
const PRUNE_POLL_MS = 60_000;
/**
 * How long a job is kept after its last report. If an agent repeated the finish later than that, the
 * job would be counted twice.
 */
const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1_000;
/** Number of hosts that one transaction marks as silent, or alerts as offline. */
const HOSTS_STEP = 500;
const STEP_PAUSE_MS = 100;
const CLOCK_POLL_MS = 60 * 60 * 1_000;

export interface HousekeepingOptions {
  readonly engine: Engine;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly batches: Batches;
  readonly health: StoreHealth;
  /** `seq` of the last change by another process that was applied at the start. */
  readonly lastChange: number;
}

/**
 * Periodic work of the store thread of a control plane. The next timer retries work that fails.
 */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #timers: NodeJS.Timeout[];
  readonly #clock: PruneClock;
  /** Undefined at first, so that the first poll also applies changes made during the start. */
  #version: number | undefined;
  /** Changes up to this `seq` have been deleted from the database. */
  #lastDeleted: number;
  /** Changes up to this `seq` have been published. */
  #lastChange: number;
  #prune: NodeJS.Timeout | undefined;
  #moreAlerts: NodeJS.Timeout | undefined;
  #moreSilent: NodeJS.Timeout | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    const { engine, batches } = options;
    this.#lastChange = options.lastChange;
    this.#lastDeleted = options.lastChange;
    this.#clock = new PruneClock(engine.clock());
    this.#timers = [
      setInterval(() => {
        this.followOtherProcesses();
        this.#deleteChanges();
      }, OTHER_PROCESSES_POLL_MS),
      setInterval(() => batches.checkFiles(), FILES_POLL_MS),
      setInterval(() => this.#writeGoodbyes(), GOODBYES_POLL_MS),
      setInterval(() => this.#markSilent(), SILENCE_POLL_MS),
      setInterval(() => this.#alertOffline(), OFFLINE_ALERT_POLL_MS),
      setInterval(() => this.#saveClock(), CLOCK_POLL_MS),
    ];
    this.#saveClock();
    this.#markSilent();
    this.#pruneJobs();
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#prune);
    clearTimeout(this.#moreAlerts);
    clearTimeout(this.#moreSilent);
  }

  /** Applies what other processes committed, for example a `hosts` command. */
  followOtherProcesses(): void {
    const { engine, health } = this.#options;
    try {
      const version = engine.version();
      if (version === this.#version) return;
      this.#applyForeignChanges();
      this.#version = version;
    } catch (error) {
      const { kind, message } = engine.failure(error);
      if (kind === 'operation') health.defect(error);
      else if (kind === 'unavailable') health.failed(message);
    }
  }

  #applyForeignChanges(): void {
    const { engine, publisher } = this.#options;
    const found = engine.changesSince(this.#lastChange);
    const last = found.at(-1)?.seq;
    if (last === undefined) return;
    const changes = new Changes();
    for (const { hostId, change, tokenDigest } of found) {
      if (tokenDigest === null) changes.removed.push(hostId);
      else if (change === 'renamed') noteRow(engine, hostId, changes);
      else {
        if (change === 'added') changes.added.push(hostId);
        else changes.tokensReplaced.push(hostId);
        changes.enrolled.push([hostId, tokenDigest]);
      }
    }
    publisher.publish(changes);
    this.#lastChange = last;
    this.#deleteChanges();
  }

  /**
   * Deletes the changes that were published. The command that made them waits for that. If another
   * process holds the lock, the next poll retries.
   */
  #deleteChanges(): void {
    const { engine, batches } = this.#options;
    const last = this.#lastChange;
    if (last === this.#lastDeleted) return;
    if (batches.background(() => engine.forgetChanges(last))) this.#lastDeleted = last;
  }

  /**
   * Runs an empty transaction if there are unwritten goodbyes. Every transaction writes them, but
   * there may be no other one.
   */
  #writeGoodbyes(): void {
    const { presence, batches } = this.#options;
    if (presence.unwritten.length > 0) batches.report([]);
  }

  /** Marks hosts offline that report by HTTP and have been silent for too long, a limited number at a time. */
  #markSilent(): void {
    const { presence, batches } = this.#options;
    const hostIds = presence.silentHosts(HOSTS_STEP);
    if (hostIds.length === 0) return;
    const reports = hostIds.map((hostId) => ['silent', { hostId }] as const);
    if (batches.report(reports) && hostIds.length === HOSTS_STEP) {
      this.#moreSilent = setTimeout(() => this.#markSilent(), STEP_PAUSE_MS);
    }
  }

  /**
   * Opens offline alerts, a limited number at a time. After a start to which no agent connects, the
   * whole fleet is due at once.
   */
  #alertOffline(): void {
    const { presence, batches } = this.#options;
    const hostIds = presence.offlineFor(OFFLINE_ALERT_AFTER_MS, HOSTS_STEP);
    if (hostIds.length === 0) return;
    const reports = hostIds.map((hostId) => ['offline', { hostId }] as const);
    if (!batches.report(reports)) return;
    presence.noteAlerted(hostIds);
    if (hostIds.length === HOSTS_STEP) {
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
