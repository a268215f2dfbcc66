import type { ScrapeRequest, ScrapeResponse } from '../../platform/uws.ts';
import type { RequestBudget } from './request-budget.ts';

/** Limits for the body of a request. A client that exceeds one is answered and disconnected. */
export interface BodyLimits {
  readonly bytes: number;
  readonly chunks: number;
  /**
   * Whether the request is answered in a later turn of the loop. If the client has sent another request
   * by then, uWebSockets.js closes the connection. Otherwise it would handle many large bodies of one
   * connection in one turn.
   */
  readonly answersLater: boolean;
}

/** For endpoints that do not use a body. */
const UNUSED_BODY: BodyLimits = { bytes: 64 * 1024, chunks: 64, answersLater: false };

export type Headers = Readonly<Record<string, string>>;

/**
 * A response that the client may abort before it is sent. Using an aborted response of
 * uWebSockets.js would throw.
 *
 * A request with a body is answered at the end of its body. If the body is too long or has too many
 * chunks, the answer says `Connection: close`, and uWebSockets.js closes the socket instead of
 * reading the rest.
 */
export class PendingResponse {
  readonly #res: ScrapeResponse;
  readonly #requests: RequestBudget;
  readonly #isHead: boolean;
  readonly hasBody: boolean;
  #state: 'open' | 'responding' | 'sending' | 'ended' = 'open';
  #isBodyComplete = true;
  #isPostponed = false;
  #closesConnection = false;
  readonly #limits: BodyLimits;
  #onChunk: (chunk: ArrayBuffer) => void = () => {};
  #onBodyEnd: (isTooLong: boolean) => void = () => {};
  #onAborted: () => void = () => {};
  #writeResponse: () => void = () => {};
  #onEnd: (complete: boolean) => void = () => {};

  /** Must be constructed synchronously in the request handler. */
  constructor(
    res: ScrapeResponse,
    req: ScrapeRequest,
    requests: RequestBudget,
    limits: BodyLimits = UNUSED_BODY,
  ) {
    this.#res = res;
    this.#requests = requests;
    this.#limits = limits;
    this.#isHead = req.getMethod() === 'head';
    this.hasBody = announcesBody(req);
    res.onAborted(() => {
      if (this.#isPostponed) requests.noteExceeded();
      this.#end(false);
      this.#onAborted();
    });
    if (this.hasBody) this.#watchBody();
  }

  /**
   * Reads the body. Must be called synchronously in the request handler.
   * @param onChunk called with each chunk, whose memory is only valid during the call
   * @param onEnd called when the body is complete, or exceeds a limit: then the rest is not read
   * @param onAborted called when the client leaves before it has got a response
   */
  readBody(
    onChunk: (chunk: ArrayBuffer) => void,
    onEnd: (isTooLong: boolean) => void,
    onAborted: () => void,
  ): void {
    this.#onChunk = onChunk;
    this.#onBodyEnd = onEnd;
    this.#onAborted = onAborted;
    if (!this.hasBody) onEnd(false);
  }

  /** Closes the connection after the response. */
  closeAfterwards(): void {
    this.#closesConnection = true;
  }

  /** Sends the response without waiting for the rest of the body. Closes the connection. */
  doNotWaitForBody(): void {
    this.#isBodyComplete = true;
    this.#closesConnection = true;
  }

  /** Sends a text, or its bytes. The response to a HEAD request has only its headers. */
  send(status: string, headers: Headers, text: string | Uint8Array<ArrayBuffer>): void {
    this.#respond(() => {
      this.#writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
      if (!this.#isHead) this.#res.end(text, this.#closesConnection);
      else if (this.#closesConnection) this.#res.endWithoutBody(0, true);
      else this.#endWithoutBody(Buffer.byteLength(text));
    });
  }

  /** Not `endWithoutBody(length)`: uWebSockets.js would wait for that many bytes. */
  #endWithoutBody(length: number): void {
    this.#res.writeHeader('Content-Length', String(length));
    this.#res.endWithoutBody();
  }

  /** Answers a HEAD request if the length of the body is not known. */
  sendHead(status: string, headers: Headers): void {
    this.#respond(() => {
      this.#writeHead(status, headers);
      this.#res.endWithoutBody();
    });
  }

  /**
   * Streams a body. `write` is called now and whenever the socket is ready for more.
   * @param write sends some of the body; returns whether the socket accepted all bytes it was given
   * @param onEnd called once: `complete` is true if `finish` was called, and false if the client
   * left before
   */
  stream(headers: Headers, write: () => boolean, onEnd: (complete: boolean) => void): void {
    if (this.#state !== 'open') return onEnd(false);
    this.#state = 'sending';
    this.#onEnd = onEnd;
    this.#res.onWritable(write);
    this.#res.cork(() => {
      this.#writeHead('200 OK', headers);
      write();
    });
  }

  get isSending(): boolean {
    return this.#state === 'sending';
  }

  /** Must be called when the socket has accepted the last byte of a stream. */
  finish(): void {
    this.#end(true);
  }

  /** Closes the connection if a stream is still being sent. */
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
    if (!this.#limits.answersLater && this.#requests.take()) return this.#writeNow();
    this.#isPostponed = true;
    setImmediate(() => this.#writeNow());
  }

  #writeNow(): void {
    if (this.#state !== 'responding') return;
    this.#state = 'ended';
    this.#isPostponed = false;
    this.#res.cork(this.#writeResponse);
  }

  /** A chunk of one byte costs as much as a request, so the number of chunks is limited, too. */
  #watchBody(): void {
    let bytes = 0;
    let chunks = 0;
    this.#isBodyComplete = false;
    this.#res.onData((chunk, isLast) => {
      if (this.#isBodyComplete) return;
      bytes += chunk.byteLength;
      chunks++;
      const isTooLong = bytes > this.#limits.bytes || chunks > this.#limits.chunks;
      if (!isTooLong) this.#onChunk(chunk);
      if (!isLast && !isTooLong) return;
      this.#isBodyComplete = true;
      if (isTooLong) {
        this.#closesConnection = true;
        this.#requests.noteExceeded();
      }
      this.#onBodyEnd(isTooLong);
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
    this.#state = 'ended';
    const onEnd = this.#onEnd;
    this.#onEnd = () => {};
    onEnd(complete);
  }
}

/** A request has a body if one of these headers says so (RFC 9112, section 6). */
function announcesBody(req: ScrapeRequest): boolean {
  if (req.getHeader('transfer-encoding') !== '') return true;
  const length = req.getHeader('content-length');
  return length !== '' && Number(length) !== 0;
}
