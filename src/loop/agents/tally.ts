/** Counts something per host, up to a limit. A host whose count is 0 takes no memory. */
export class Tally {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns false, without counting, if the host has reached the limit. */
  add(hostId: string): boolean {
    const count = this.#counts.get(hostId) ?? 0;
    if (count >= this.#limit) return false;
    this.#counts.set(hostId, count + 1);
    return true;
  }

  remove(hostId: string): void {
    const rest = (this.#counts.get(hostId) ?? 1) - 1;
    if (rest === 0) this.#counts.delete(hostId);
    else this.#counts.set(hostId, rest);
  }
}
