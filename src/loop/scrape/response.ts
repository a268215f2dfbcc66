import type { ScrapeResponse } from '../../platform/uws.ts';
import { type BodyBytes, BodyReader } from '../../shared/body-layout.ts';
import type { Headers, PendingResponse } from '../http/pending-response.ts';

/**
 * How long slices of a body are handed to the socket before the agents have their turn. A large body handed
 * over whole keeps the loop waiting for tens of milliseconds; a turn of the loop for each slice costs as much
 * as the slice.
 */
const MAX_SENDING_MS_PER_TURN = 0.3;

/**
 * Sends `body` in slices; `onGone` is called once, when the bytes are no longer needed: `complete` if the
 * socket took them all, not if the client left before.
 */
export function sendBody(
  response: PendingResponse,
  res: ScrapeResponse,
  headers: Headers,
  body: BodyBytes,
  onGone: (complete: boolean) => void,
): void {
  const reader = new BodyReader(body);
  response.stream(headers, sendSlices, onGone);

  /** @returns whether the socket took all it was given, which is what uWS asks of an onWritable handler */
  function sendSlices(): boolean {
    const startedAt = performance.now();
    while (response.isSending) {
      // The socket copies what it takes: the slice may be something else by the next one.
      const slice = reader.read(res.getWriteOffset());
      const [accepted, done] = res.tryEnd(slice, reader.total);
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
