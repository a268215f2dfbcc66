import type { EventLog } from '../platform/event-log.ts';
import type { StatsWriter } from '../shared/server-stats.ts';

/** Whether the database can be written. Says so in the log when that changes, and counts what could not be stored. */
export class StoreHealth {
  readonly #events: EventLog | undefined;
  readonly #stats: StatsWriter | undefined;
  readonly #file: string;
  #failingSince: number | undefined;

  /** A command that does not serve has neither a log nor metrics: it reports its own failure. */
  constructor(file: string, events: EventLog | undefined, stats: StatsWriter | undefined) {
    this.#file = file;
    this.#events = events;
    this.#stats = stats;
  }

  get isFailing(): boolean {
    return this.#failingSince !== undefined;
  }

  /** @param message SQLite's own */
  failed(message: string): void {
    this.#stats?.storeFailure();
    if (this.#failingSince !== undefined) return;
    this.#failingSince = performance.now();
    const fields = { file: this.#file, error: message };
    this.#events?.error('store_failed', fields, 'the database cannot be written');
  }

  /** An operation failed in a way that nobody foresaw, and that is no fault of the database. */
  defect(error: unknown): void {
    this.#stats?.storeFailure();
    this.#events?.error('store_defect', { err: error }, 'an operation failed unexpectedly');
  }

  /** Something was written. */
  worked(): void {
    if (this.#failingSince === undefined) return;
    const seconds = Math.round((performance.now() - this.#failingSince) / 1000);
    this.#failingSince = undefined;
    const fields = { file: this.#file, after_seconds: seconds };
    this.#events?.info('store_recovered', fields, 'the database can be written again');
  }
}
