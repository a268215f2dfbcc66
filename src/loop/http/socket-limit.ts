import { openFileLimit } from '../../platform/open-files.ts';
import type { HttpResponse, TemplatedApp } from '../../platform/uws.ts';

/**
 * Open files that are left for the database, the log, a listener for metrics, and whatever else the process needs to go
 * on. Without any, the system accepts no socket, and the loop asks it again and again.
 */
const RESERVED_FILES = 256;
/** Sockets of a listener for metrics, out of those: scrapes go on when strangers take all of the agents' sockets. */
export const MAX_METRICS_SOCKETS = 100;

/** Keeps the sockets of all threads together below the number of files that the process may have open. */
export class SocketLimit {
  readonly #max: number;
  /** How many are open, in all threads. */
  readonly #open: Int32Array;
  readonly #onRefused: () => void;

  /**
   * @param shared from `SocketLimit.allocate`, the same in all threads
   * @param onRefused called when a socket was closed because there are too many
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

  /** Counts the sockets of an app: each that comes, and each that goes without having become a WebSocket. */
  watch(app: TemplatedApp): void {
    app.filter((res, change) => this.#count(res, Number(change)));
  }

  /** To be called when a WebSocket is closed: uWebSockets.js tells of it only there. */
  webSocketClosed(): void {
    Atomics.sub(this.#open, 0, 1);
  }

  /** The same, of one that is closed within that time. */
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
