import type { Batches } from './batches.ts';
import { Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import { PruneClock } from './prune-clock.ts';
import type { Publisher } from './publisher.ts';
import { OFFLINE_ALERT_AFTER_MS } from './rules/alerts.ts';
import type { StoreHealth } from './store-health.ts';

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
/** Number of hosts that one transaction marks as silent, marks online again, or alerts as offline. */
const HOSTS_STEP = 500;
const STEP_PAUSE_MS = 100;
const CLOCK_POLL_MS = 60 * 60 * 1_000;

export interface HousekeepingOptions {
  readonly engine: Engine;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly batches: Batches;
  readonly health: StoreHealth;
}

/**
 * Periodic work of the store thread of a control plane. The next timer retries work that fails.
 */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #timers: NodeJS.Timeout[];
  readonly #clock: PruneClock;
  #prune: NodeJS.Timeout | undefined;
  #moreAlerts: NodeJS.Timeout | undefined;
  #moreSilent: NodeJS.Timeout | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    const { engine, batches } = options;
    const clocks = { wall: () => engine.now(), monotonic: () => performance.now() };
    this.#clock = new PruneClock(engine.clock(), clocks);
    this.#timers = [
      setInterval(() => this.followOtherProcesses(), engine.followEveryMs),
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

  /** Publishes what other processes committed: a `hosts` command, or another instance. */
  followOtherProcesses(): void {
    const { engine, publisher, batches, health } = this.#options;
    const changes = new Changes();
    try {
      engine.follow(changes);
    } catch (error) {
      const { kind, message } = engine.failure(error);
      if (kind === 'operation') health.defect(error);
      else if (kind === 'unavailable') health.failed(message);
    }
    if (engine.isCurrent) batches.resolveUncertain();
    // Also what was read before it failed: the next call does not return it again.
    if (!changes.areNone) publisher.publishFollowed(changes, engine.now());
    this.#confirmChanges();
    this.#resumeConnections();
  }

  /** If another process holds the lock, the next poll retries. */
  #confirmChanges(): void {
    const { engine, batches } = this.#options;
    if (engine.hasUnconfirmedChanges) batches.background(() => engine.confirmChanges());
  }

  /**
   * Marks hosts online again that another instance has marked offline although they are connected, a limited number at a
   * time.
   */
  #resumeConnections(): void {
    const { presence, batches } = this.#options;
    const hosts = presence.toResume(HOSTS_STEP);
    if (hosts.length === 0) return;
    if (batches.report(hosts.map((request) => ['resume', request] as const))) {
      presence.noteResumed(hosts);
    }
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
    const { engine, presence, batches } = this.#options;
    if (!engine.isCurrent) return;
    const hosts = presence.silentHosts(HOSTS_STEP);
    if (hosts.length === 0) return;
    const reports = hosts.map((request) => ['silent', request] as const);
    if (batches.report(reports) && hosts.length === HOSTS_STEP) {
      this.#moreSilent = setTimeout(() => this.#markSilent(), STEP_PAUSE_MS);
    }
  }

  /**
   * Opens offline alerts, a limited number at a time. After a start to which no agent connects, the
   * whole fleet is due at once.
   */
  #alertOffline(): void {
    const { engine, presence, batches } = this.#options;
    if (!engine.isCurrent) return;
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
