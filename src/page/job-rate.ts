/** How long the rate looks back. */
const WINDOW_MS = 60_000;
/** A shorter time would make the rate jump. */
const MIN_MS = 9_000;

/** Makes jobs per minute out of a counter that only grows. */
export class JobRate {
  readonly #samples: { atMs: number; total: number }[] = [];

  /**
   * Adds a reading of the counter. A smaller value than before means that the server has started
   * again, so the earlier ones are dropped.
   */
  add(atMs: number, total: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && total < last.total) this.#samples.length = 0;
    this.#samples.push({ atMs, total });
    // One sample older than the window stays, so that the rate is about the whole window.
    while ((this.#samples[1]?.atMs ?? atMs) < atMs - WINDOW_MS) this.#samples.shift();
  }

  /** Jobs per minute; undefined while there are too few readings. */
  get perMinute(): number | undefined {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < MIN_MS) {
      return undefined;
    }
    return ((last.total - first.total) / (last.atMs - first.atMs)) * 60_000;
  }
}
