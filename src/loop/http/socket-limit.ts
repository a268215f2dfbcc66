import { openFileLimit } from '../../platform/open-files.ts';
import type { HttpResponse, TemplatedApp } from '../../platform/uws.ts';

/**
 * Open files reserved for the database, the log, the metrics listener and other needs of the
 * process. If no file is free, the system accepts no socket, and the loop would retry forever.
 */
const RESERVED_FILES = 256;
/**
 * Sockets of the metrics listener, out of the reserved files. Scrapes therefore work even if
 * clients occupy all sockets for agents.
 */
export const MAX_METRICS_SOCKETS = 100;

/** Keeps the number of sockets of all threads below the open file limit of the process. */
export class SocketLimit {
  readonly #max: number;
  /** One number: the open sockets of all threads. */
  readonly #open: Int32Array;
  readonly #onRefused: () => void;

  /**
   * @param shared from `SocketLimit.allocate`, the same in all threads
   * @param onRefused called when a socket was closed because too many are open
   */
  constructor(
    shared: SharedArrayBuffer,
    onRefused: () => void,
    max = Math.max(1, openFileLimit() - RESERVED_FILES),
  ) {
    this.#max = max;
    this.#open = new Int32Array(shared);
    this.#onRefused = onRefused;
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  }

  /**
   * Counts the sockets of an app. uWebSockets.js reports each new socket, and each closed one
   * unless it had become a WebSocket.
   */
  watch(app: TemplatedApp): void {
    app.filter((res, change) => this.#count(res, Number(change)));
  }

  /** Must be called when a WebSocket closes, because uWebSockets.js does not report that to `watch`. */
  webSocketClosed(): void {
    Atomics.sub(this.#open, 0, 1);
  }

  /** Like `webSocketClosed`, for a WebSocket that will be closed within `ms` milliseconds. */
  webSocketClosedAfter(ms: number): void {
    setTimeout(() => this.webSocketClosed(), ms).unref();
  }

  #count(res: HttpResponse, change: number): void {
    const open = Atomics.add(this.#open, 0, change) + change;
    if (change < 0 || open <= this.#max) return;
    this.#onRefused();
    res.close();
  }
}
