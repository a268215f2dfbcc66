/** What the poller needs of the browser. */
export interface PollerOptions {
  /** Loads and shows everything once. A rejection means that the next attempt must wait longer. */
  readonly task: (signal: AbortSignal) => Promise<void>;
  /** Time between two loads, in milliseconds. */
  readonly intervalMs: () => number;
  readonly isVisible: () => boolean;
}

const POLL_MS = 5_000;
/** A longer list is loaded less often: so many hosts cost one pause between two loads. */
const HOSTS_PER_POLL = 500;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;

/** The time between two loads of so many hosts, in milliseconds. */
export function pollMs(hosts: number): number {
  return POLL_MS * Math.max(1, Math.ceil(hosts / HOSTS_PER_POLL));
}

/** The pause after a number of failures in a row: doubled each time, and spread by up to a half. */
export function retryMs(failures: number, random = Math.random()): number {
  const longest = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
  return longest * (1 - random / 2);
}

/** Runs a task again and again, while the page is visible. */
export class Poller {
  readonly #options: PollerOptions;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #isStopped = true;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** Runs the task now, or when the page becomes visible. One that is running is given up. */
  now(): void {
    this.stop();
    this.#isStopped = false;
    if (!this.#options.isVisible()) return;
    this.#abort = new AbortController();
    void this.#run(this.#abort.signal);
  }

  /** Ends the polling until the next `now`. */
  stop(): void {
    this.#isStopped = true;
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** Must be called when the page becomes visible or hidden. */
  visibilityChanged(): void {
    if (!this.#isStopped && this.#options.isVisible()) this.now();
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.task(signal);
      this.#failures = 0;
    } catch {
      if (signal.aborted) return;
      this.#failures++;
    }
    if (signal.aborted) return;
    const pause = this.#failures === 0 ? this.#options.intervalMs() : retryMs(this.#failures);
    this.#timer = setTimeout(() => this.now(), pause);
  }
}
