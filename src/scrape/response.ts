import type { ScrapeResponse } from '../platform/uws.ts';
import { type BodyBytes, BodyReader } from '../render/body-layout.ts';

/**
 * How long slices of a body are handed to the socket before the agents have their turn. A large body handed
 * over whole keeps the loop waiting for tens of milliseconds; a turn of the loop for each slice costs as much
 * as the slice.
 */
const TURN_MS = 0.3;

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
    body: BodyBytes,
    onGone: (complete: boolean) => void,
  ): void {
    if (this.#state !== 'open') return onGone(false);
    this.#state = 'sending';
    this.#onGone = onGone;
    const reader = new BodyReader(body);
    this.#res.onWritable(() => this.#sendSlices(reader));
    this.#res.cork(() => {
      this.#head('200 OK', headers);
      this.#sendSlices(reader);
    });
  }

  /** Closes the connection if it is still being sent to: its body is needed for others. */
  abandon(): void {
    if (this.#state === 'sending') this.#res.close();
  }

  /** @returns whether the socket took all it was given, which is what uWS asks of an onWritable handler */
  #sendSlices(reader: BodyReader): boolean {
    const startedAt = performance.now();
    while (this.#state === 'sending') {
      // The socket copies what it takes: the slice may be something else by the next one.
      const slice = reader.read(this.#res.getWriteOffset());
      const [accepted, done] = this.#res.tryEnd(slice, reader.total);
      if (done) this.#leave(true);
      else if (!accepted)
        return false; // uWS calls onWritable
      else if (performance.now() - startedAt > TURN_MS) {
        setImmediate(() => this.#sendNext(reader));
        break;
      }
    }
    return true;
  }

  #sendNext(reader: BodyReader): void {
    if (this.#state === 'sending') this.#res.cork(() => this.#sendSlices(reader));
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
