/** Counts something for each host, up to a limit. Hosts for which there is nothing to count take no memory. */
export class Tally {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false, and counts nothing, if the host is at its limit */
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
