const COUNTERS = { connected: 0, jobsFinished: 1, jobsFailed: 2 } as const;

/**
 * Counters of the simulated agents in shared memory. The agents' thread writes them, and the main
 * thread shows them.
 */
export class Activity {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(4 * Object.keys(COUNTERS).length)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  add(counter: keyof typeof COUNTERS, difference: number): void {
    Atomics.add(this.#words, COUNTERS[counter], difference);
  }

  read(counter: keyof typeof COUNTERS): number {
    return Atomics.load(this.#words, COUNTERS[counter]);
  }
}
