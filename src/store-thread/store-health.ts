import type { EventLog } from '../platform/event-log.ts';
import type { StatsWriter } from '../shared/server-stats.ts';

/**
 * Tracks whether the database can be written. Logs when that changes, and counts failures.
 */
export class StoreHealth {
  readonly #events: EventLog | undefined;
  readonly #stats: StatsWriter | undefined;
  readonly #file: string;
  #failingSince: number | undefined;

  /** A process that does not serve passes neither `events` nor `stats`. It reports its own failure. */
  constructor(file: string, events: EventLog | undefined, stats: StatsWriter | undefined) {
    this.#file = file;
    this.#events = events;
    this.#stats = stats;
  }

  get isFailing(): boolean {
    return this.#failingSince !== undefined;
  }

  /** @param message the database's own message */
  failed(message: string): void {
    this.#stats?.storeFailure();
    if (this.#failingSince !== undefined) return;
    this.#failingSince = performance.now();
    const fields = { file: this.#file, error: message };
    this.#events?.error('store_failed', fields, 'the database cannot be written');
  }

  /** An operation failed because of a bug in this program. The database can still be used. */
  defect(error: unknown): void {
    this.#stats?.storeFailure();
    this.#events?.error('store_defect', { err: error }, 'an operation failed unexpectedly');
  }

  /** To be called after a transaction has written rows. */
  worked(): void {
    if (this.#failingSince === undefined) return;
    const seconds = Math.round((performance.now() - this.#failingSince) / 1000);
    this.#failingSince = undefined;
    const fields = { file: this.#file, after_seconds: seconds };
    this.#events?.info('store_recovered', fields, 'the database can be written again');
  }
}
