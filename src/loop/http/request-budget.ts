/** Requests that one loop answers within the turn in which they arrive. */
const MAX_REQUESTS_PER_TURN = 500;

/**
 * Bounds what one HTTP connection can make a loop do in one turn.
 *
 * uWebSockets.js reads a socket until it is empty, within one turn and whatever that takes, so a client that sends
 * request after request without waiting for the answers could hold the loop for as long as it likes. Once a turn
 * has had so many requests, further answers are put off to the next turn. A client that waits for its answer does
 * not notice. For one that does not, uWebSockets.js closes the connection at its next request, since the one before
 * has no answer yet.
 */
export class RequestBudget {
  readonly #onExceeded: () => void;
  #remaining = MAX_REQUESTS_PER_TURN;

  /** @param onExceeded called when a connection was closed because it sent too many requests */
  constructor(onExceeded: () => void = () => {}) {
    this.#onExceeded = onExceeded;
  }

  /** @returns whether a request may be answered in this turn */
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
