import type { PendingResponse } from '../http/pending-response.ts';

/** Bytes that the clients of one loop may leave unread. Beyond them, the oldest is disconnected. */
export const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** The answers that are being sent in this loop. A client that reads slowly holds memory for a long time. */
export class UnreadAnswers {
  /** In the order of their starts. */
  readonly #sending = new Map<PendingResponse, number>();
  readonly #onCutOff: () => void;
  #bytes = 0;

  /** @param onCutOff called when a client is disconnected */
  constructor(onCutOff: () => void) {
    this.#onCutOff = onCutOff;
  }

  add(response: PendingResponse, bytes: number): void {
    this.#sending.set(response, bytes);
    this.#bytes += bytes;
    while (this.#bytes > MAX_UNREAD_BYTES && this.#sending.size > 1) this.#cutOffOldest();
  }

  /** May be called again for the same response. */
  remove(response: PendingResponse): void {
    this.#bytes -= this.#sending.get(response) ?? 0;
    this.#sending.delete(response);
  }

  #cutOffOldest(): void {
    const [oldest] = this.#sending.keys();
    if (oldest === undefined) return;
    this.remove(oldest);
    this.#onCutOff();
    oldest.abandon();
  }
}
