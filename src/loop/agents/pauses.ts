/**
 * Limits the share of this thread's time that each host gets. After some work for a host, the host must wait
 * for a multiple of the time that the work took. A host takes no memory once its pause is over.
 */
export class Pauses {
  readonly #share: number;
  /** Monotonic time at which the pause of a host ends, by host. */
  readonly #until = new Map<string, number>();

  constructor(share: number) {
    this.#share = share;
  }

  /** Remaining pause of the host, in milliseconds. */
  remainingMs(hostId: string): number {
    return Math.max(0, (this.#until.get(hostId) ?? 0) - performance.now());
  }

  /** Records work for the host that has just ended. */
  add(hostId: string, workedMs: number): void {
    const pauseMs = workedMs / this.#share - workedMs;
    const until = Math.max(this.#until.get(hostId) ?? 0, performance.now()) + pauseMs;
    this.#until.set(hostId, until);
    const timer = setTimeout(() => {
      if (this.#until.get(hostId) === until) this.#until.delete(hostId);
    }, until - performance.now());
    timer.unref();
  }
}
