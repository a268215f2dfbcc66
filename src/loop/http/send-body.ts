import type { ScrapeResponse } from '../../platform/uws.ts';
import type { Headers, PendingResponse } from './pending-response.ts';

/**
 * Time in one turn of the loop for handing slices of a body to the socket. Handing over a large
 * body at once would block the agents of this loop for tens of milliseconds. A turn per slice would
 * cost as much as the slice itself.
 */
const MAX_SENDING_MS_PER_TURN = 0.3;

/** A body that is read in slices, such as a `BodyReader`. */
export interface Slices {
  /** Length of the body in bytes. */
  readonly total: number;
  /** Returns the next slice from `offset` on; an empty one at the end. It is valid until the next read. */
  read(offset: number): Uint8Array;
}

const SLICE_BYTES = 64 * 1024;

/** Slices of bytes in the memory of this thread. */
export function slicesOf(bytes: Uint8Array): Slices {
  return {
    total: bytes.length,
    read: (offset) => bytes.subarray(offset, offset + SLICE_BYTES),
  };
}

/**
 * Sends `body` in slices. `onEnd` is called once, when the bytes are no longer needed. `complete`
 * is false if the client left before the socket accepted all of them.
 */
export function sendBody(
  response: PendingResponse,
  res: ScrapeResponse,
  headers: Headers,
  body: Slices,
  onEnd: (complete: boolean) => void,
): void {
  response.stream(headers, sendSlices, onEnd);

  /**
   * @returns whether the socket accepted all bytes it was given, as uWebSockets.js requires of an
   * onWritable handler
   */
  function sendSlices(): boolean {
    const startedAt = performance.now();
    while (response.isSending) {
      // The socket copies the bytes that it accepts, so the next read may overwrite the slice.
      const slice = body.read(res.getWriteOffset());
      const [accepted, done] = res.tryEnd(slice, body.total);
      if (done) response.finish();
      else if (!accepted)
        return false; // uWS calls onWritable
      else if (performance.now() - startedAt > MAX_SENDING_MS_PER_TURN) {
        setImmediate(sendInNextTurn);
        break;
      }
    }
    return true;
  }

  function sendInNextTurn(): void {
    if (response.isSending) res.cork(sendSlices);
  }
}
