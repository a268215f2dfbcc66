const DAY_MS = 24 * 60 * 60 * 1_000;

/** Unix time and monotonic time, in milliseconds. */
export interface Clocks {
  wall(): number;
  monotonic(): number;
}

const SYSTEM: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/**
 * The clock that decides which jobs are old enough to be deleted. If an agent repeats the finish of a
 * deleted job, the job is counted twice. A wrong system clock must therefore not delete jobs.
 *
 * While the process runs, this clock advances no faster than the monotonic clock. At the start it is
 * at most one day ahead of the time it last saved. A control plane that was stopped for longer than a
 * day therefore keeps jobs for more than 30 days, until its next start.
 */
export class PruneClock {
  readonly #clocks: Clocks;
  readonly #atStart: number;
  readonly #startedAt: number;

  /** @param saved what `now` returned last; undefined in a new database */
  constructor(saved: number | undefined, clocks: Clocks = SYSTEM) {
    this.#clocks = clocks;
    const now = clocks.wall();
    this.#atStart = saved === undefined ? now : Math.min(now, saved + DAY_MS);
    this.#startedAt = clocks.monotonic();
  }

  /** Unix time in whole milliseconds. */
  now(): number {
    const elapsed = this.#clocks.monotonic() - this.#startedAt;
    return Math.min(this.#clocks.wall(), Math.round(this.#atStart + elapsed));
  }
}
