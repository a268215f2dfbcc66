import type { Session } from './session.ts';

/** The time of the database in Unix milliseconds, in SQL. */
export const NOW_MS = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

/**
 * The clock of the database, advanced by the monotonic clock between two readings. All instances date
 * reports by it, so they agree even if the clock of one machine is wrong.
 */
export class DatabaseClock {
  #offsetMs = Date.now() - performance.now();

  /** @param nowMs the time of the database, Unix milliseconds */
  set(nowMs: number): void {
    this.#offsetMs = nowMs - performance.now();
  }

  read(session: Session): void {
    this.set(session.rows<[number]>(`SELECT ${NOW_MS}`)[0]?.[0] ?? Date.now());
  }

  /** Unix time in whole milliseconds. */
  now(): number {
    return Math.round(this.#offsetMs + performance.now());
  }
}
