import type { ScrapeRequest, ScrapeResponse } from '../../platform/uws.ts';
import type { RequestBudget } from './request-budget.ts';

/** What is read of a request's body: nothing here wants one. The sender of a longer one is cut off. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_BODY_CHUNKS = 64;

export type Headers = Readonly<Record<string, string>>;

/**
 * A response that may be gone by the time it is answered: using a gone one would throw.
 *
 * The answer to a request with a body waits for the end of the body. One that is too long, or comes in too many
 * chunks, is answered with `Connection: close`: uWebSockets.js closes the socket then, instead of reading the rest.
 */
export class PendingResponse {
  readonly #res: ScrapeResponse;
  readonly #requests: RequestBudget;
  readonly #isHead: boolean;
  readonly hasBody: boolean;
  #state: 'open' | 'responding' | 'sending' | 'gone' = 'open';
  #isBodyComplete = true;
  #isPostponed = false;
  #closesConnection = false;
  #writeResponse: () => void = () => {};
  #onGone: (complete: boolean) => void = () => {};

  /** Must be made within the request's handler, before anything is awaited. */
  constructor(res: ScrapeResponse, req: ScrapeRequest, requests: RequestBudget) {
    this.#res = res;
    this.#requests = requests;
    this.#isHead = req.getMethod() === 'head';
    this.hasBody = announcesBody(req);
    res.onAborted(() => {
      if (this.#isPostponed) requests.noteExceeded();
      this.#end(false);
    });
    if (this.hasBody) this.#watchBody();
  }

  /** Answers with some text, or to a HEAD request without it. */
  send(status: string, headers: Headers, text: string): void {
    this.#respond(() => {
      this.#writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
      if (!this.#isHead) this.#res.end(text, this.#closesConnection);
      else if (this.#closesConnection) this.#res.endWithoutBody(0, true);
      else this.#endWithoutBody(Buffer.byteLength(text));
    });
  }

  /** If uWS is told a length, it waits for that many bytes. */
  #endWithoutBody(length: number): void {
    this.#res.writeHeader('Content-Length', String(length));
    this.#res.endWithoutBody();
  }

  /** Answers as `HEAD` wants it, where the length of the body is not known. */
  sendHead(status: string, headers: Headers): void {
    this.#respond(() => {
      this.#writeHead(status, headers);
      this.#res.endWithoutBody();
    });
  }

  /**
   * Lets `write` send a body in as many steps as it likes. It is called now and whenever the socket takes more.
   * @param write sends some of the body; @returns whether the socket took all that it was given
   * @param onGone called once: `complete` if `finish` was called, not if the client left before
   */
  stream(headers: Headers, write: () => boolean, onGone: (complete: boolean) => void): void {
    if (this.#state !== 'open') return onGone(false);
    this.#state = 'sending';
    this.#onGone = onGone;
    this.#res.onWritable(write);
    this.#res.cork(() => {
      this.#writeHead('200 OK', headers);
      write();
    });
  }

  get isSending(): boolean {
    return this.#state === 'sending';
  }

  /** The socket took the last byte of a stream. */
  finish(): void {
    this.#end(true);
  }

  /** Closes the connection if it is still being sent to. */
  abandon(): void {
    if (this.#state === 'sending') this.#res.close();
  }

  #respond(write: () => void): void {
    if (this.#state !== 'open') return;
    this.#state = 'responding';
    this.#writeResponse = write;
    if (this.#isBodyComplete) this.#writeWithinBudget();
  }

  #writeWithinBudget(): void {
    if (this.#requests.take()) return this.#writeNow();
    this.#isPostponed = true;
    setImmediate(() => this.#writeNow());
  }

  #writeNow(): void {
    if (this.#state !== 'responding') return;
    this.#state = 'gone';
    this.#isPostponed = false;
    this.#res.cork(this.#writeResponse);
  }

  /** Chunks of one byte cost as much as a request each, so these are counted, too. */
  #watchBody(): void {
    let bytes = 0;
    let chunks = 0;
    this.#isBodyComplete = false;
    this.#res.onData((chunk, isLast) => {
      if (this.#isBodyComplete) return;
      bytes += chunk.byteLength;
      chunks++;
      const isTooLong = bytes > MAX_BODY_BYTES || chunks > MAX_BODY_CHUNKS;
      if (!isLast && !isTooLong) return;
      this.#isBodyComplete = true;
      if (isTooLong) {
        this.#closesConnection = true;
        this.#requests.noteExceeded();
      }
      if (this.#state !== 'responding') return;
      if (isTooLong) this.#writeNow();
      else this.#writeWithinBudget();
    });
  }

  #writeHead(status: string, headers: Headers): void {
    this.#res.writeStatus(status);
    for (const [name, value] of Object.entries(headers)) this.#res.writeHeader(name, value);
  }

  #end(complete: boolean): void {
    this.#state = 'gone';
    const onGone = this.#onGone;
    this.#onGone = () => {};
    onGone(complete);
  }
}

/** RFC 9112, section 6: a request has a body if one of these headers says so. */
function announcesBody(req: ScrapeRequest): boolean {
  if (req.getHeader('transfer-encoding') !== '') return true;
  const length = req.getHeader('content-length');
  return length !== '' && Number(length) !== 0;
}
