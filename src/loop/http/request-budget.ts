/** Number of requests that one loop answers in the turn in which they arrive. */
const MAX_REQUESTS_PER_TURN = 500;

/**
 * Limits how many requests a loop answers in one turn.
 *
 * uWebSockets.js reads a socket until it is empty, within one turn. Without a limit, a client that
 * sends requests without waiting for answers could hold the loop for as long as it likes. Beyond
 * the limit, answers are postponed to the next turn. A client that waits for its answer does not
 * notice. If a client sends its next request before the postponed answer, uWebSockets.js closes the
 * connection.
 */
export class RequestBudget {
  readonly #onExceeded: () => void;
  #remaining = MAX_REQUESTS_PER_TURN;

  /**
   * @param onExceeded called when a connection was closed because it sent too many requests or too
   * much of a body
   */
  constructor(onExceeded: () => void = () => {}) {
    this.#onExceeded = onExceeded;
  }

  /** @returns whether the request may be answered in this turn */
  take(): boolean {
    if (this.#remaining === MAX_REQUESTS_PER_TURN) {
      setImmediate(() => {
        this.#remaining = MAX_REQUESTS_PER_TURN;
      });
    }
    if (this.#remaining === 0) return false;
    this.#remaining--;
    return true;
  }

  noteExceeded(): void {
    this.#onExceeded();
  }
}
