const DAY_MS = 24 * 60 * 60 * 1_000;

/** Unix time and the monotonic time, in milliseconds. */
export interface Clocks {
  wall(): number;
  monotonic(): number;
}

const SYSTEM: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/**
 * The time by which jobs are forgotten. A job that is forgotten counts again if its finish is repeated, so a clock
 * that is set wrong must not make the store forget. While the process runs, this clock is never ahead of the
 * monotonic one. At the start it is at most a day ahead of what it was when the control plane ran last. A control
 * plane that was stopped for longer forgets later than after 30 days, until it is started the next time.
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
