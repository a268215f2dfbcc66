import type { Encoding } from '../../contract/encoding.ts';
import { messageOf, RmError } from '../../errors.ts';
import type { RenderedBody } from '../doors/render-thread.ts';
import type { BodyHold, RenderSource } from './render-source.ts';

/** Maximum number of waiting scrapes. Further ones are refused. */
const MAX_WAITING = 256;

interface Waiter {
  readonly encoding: Encoding;
  readonly resolve: (body: BodyHold) => void;
  readonly reject: (error: RmError) => void;
}

/**
 * Lets scrapes share renders. A scrape must not get a state older than its request, so it joins the
 * next render that has not started yet. At most one render runs and one is queued, so no scrape
 * waits for more than two renders.
 */
export class SharedRender implements RenderSource {
  readonly #startRender: (encodings: readonly Encoding[]) => Promise<RenderedBody>;
  #nextWaiters = new Set<Waiter>();
  #running = false;
  #waitingCount = 0;
  #closed = false;

  constructor(startRender: (encodings: readonly Encoding[]) => Promise<RenderedBody>) {
    this.#startRender = startRender;
  }

  render(encoding: Encoding, timeoutMs: number): Promise<BodyHold> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new RmError('closed', 'the scrape endpoint is closed'));
      if (this.#waitingCount >= MAX_WAITING) {
        return reject(new RmError('too_many_scrapes', `${MAX_WAITING} scrapes are waiting`));
      }
      const waiters = this.#nextWaiters;
      const settled = () => {
        clearTimeout(timer);
        waiters.delete(waiter);
        this.#waitingCount--;
      };
      const timer = setTimeout(() => {
        settled();
        reject(new RmError('render_too_late', `no body after ${timeoutMs} ms`));
      }, timeoutMs);
      const waiter: Waiter = {
        encoding,
        resolve: (body) => {
          settled();
          resolve(body);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      this.#waitingCount++;
      waiters.add(waiter);
      if (!this.#running) void this.#run();
    });
  }

  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#nextWaiters])
      waiter.reject(new RmError('closed', 'shutting down'));
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#nextWaiters.size > 0) {
      const waiters = this.#nextWaiters;
      this.#nextWaiters = new Set();
      try {
        const encodings = new Set(Array.from(waiters, ({ encoding }) => encoding));
        giveToWaiters(await this.#startRender([...encodings]), waiters);
      } catch (error) {
        const failure =
          error instanceof RmError
            ? error
            : new RmError('render_failed', `the render failed: ${messageOf(error)}`, {
                cause: error,
              });
        for (const waiter of [...waiters]) waiter.reject(failure);
      }
    }
    this.#running = false;
  }
}

/** Gives each waiter its own hold. The body is released when the last hold is. */
function giveToWaiters(body: RenderedBody, waiters: Set<Waiter>): void {
  let remaining = waiters.size;
  if (remaining === 0) return body.release();
  const holds = new Set<BodyHold>();
  for (const waiter of [...waiters]) {
    const hold: BodyHold = {
      bytes: body.bytes(waiter.encoding),
      release() {
        if (!holds.delete(hold)) return;
        if (--remaining === 0) body.release();
      },
      onRevoked: () => {},
    };
    holds.add(hold);
    waiter.resolve(hold);
  }
  body.onRevoked = () => {
    for (const hold of [...holds]) hold.onRevoked();
  };
}
