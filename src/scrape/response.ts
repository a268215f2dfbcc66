import type { ScrapeResponse } from '../platform/uws.ts';

/**
 * Bytes handed to the socket at a time. A large body handed over whole keeps the loop, and with it the
 * agents, waiting for tens of milliseconds; a slice stays well under one.
 */
const SLICE_BYTES = 256 * 1024;

/** A response that may be gone by the time somebody wants to answer: using a gone one would throw. */
export class PendingResponse {
  readonly #res: ScrapeResponse;
  #state: 'open' | 'sending' | 'gone' = 'open';
  #onGone: (complete: boolean) => void = () => {};

  /** Must be made before anything is awaited. */
  constructor(res: ScrapeResponse) {
    this.#res = res;
    res.onAborted(() => this.#leave(false));
  }

  /** Answers with a line of text. */
  sendText(status: string, headers: Readonly<Record<string, string>>, line: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    this.#res.cork(() => {
      this.#head(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
      this.#res.end(`${line}\n`);
    });
  }

  /** Answers as `HEAD` wants it: no body. */
  sendHead(status: string, headers: Readonly<Record<string, string>>): void {
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    this.#res.cork(() => {
      this.#head(status, headers);
      this.#res.endWithoutBody();
    });
  }

  /**
   * Sends `body` in slices; `onGone` is called once, when the bytes are no longer needed: `complete` if
   * the socket took them all, not if the client left before.
   */
  sendBody(
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
    onGone: (complete: boolean) => void,
  ): void {
    if (this.#state !== 'open') return onGone(false);
    this.#state = 'sending';
    this.#onGone = onGone;
    this.#res.onWritable(() => this.#sendSlice(body));
    this.#res.cork(() => {
      this.#head('200 OK', headers);
      this.#sendSlice(body);
    });
  }

  /** Closes the connection if it is still being sent to: its body is needed for others. */
  abandon(): void {
    if (this.#state === 'sending') this.#res.close();
  }

  /** @returns whether the socket took the slice, which is what uWS asks of an onWritable handler */
  #sendSlice(body: Uint8Array): boolean {
    if (this.#state !== 'sending') return true;
    const offset = this.#res.getWriteOffset();
    const slice = body.subarray(offset, offset + SLICE_BYTES);
    const [accepted, done] = this.#res.tryEnd(slice, body.length);
    if (done) this.#leave(true);
    // uWS calls onWritable only after a refusal; and between slices the agents have their turn.
    else if (accepted) setImmediate(() => this.#sendNext(body));
    return accepted;
  }

  #sendNext(body: Uint8Array): void {
    if (this.#state === 'sending') this.#res.cork(() => this.#sendSlice(body));
  }

  #head(status: string, headers: Readonly<Record<string, string>>): void {
    this.#res.writeStatus(status);
    for (const [name, value] of Object.entries(headers)) this.#res.writeHeader(name, value);
  }

  #leave(complete: boolean): void {
    this.#state = 'gone';
    const onGone = this.#onGone;
    this.#onGone = () => {};
    onGone(complete);
  }
}
