import type { Encoding } from '../../contract/encoding.ts';
import { RmError } from '../../errors.ts';
import type { RenderedBody } from '../doors/render-thread.ts';
import type { Body, RenderSource } from './render-source.ts';

/** Scrapes that wait for a body at one time; the next ones are refused. */
const MAX_WAITING = 256;

interface Waiter {
  readonly encoding: Encoding;
  readonly resolve: (body: Body) => void;
  readonly reject: (error: RmError) => void;
}

/**
 * Lets scrapes share renders without ever showing one of them a state older than its own request: a
 * scrape joins the render that has not started yet. At most one render runs and one waits, so however
 * many scrapes come in, nobody waits for more than two.
 */
export class SharedRender implements RenderSource {
  readonly #start: (encodings: readonly Encoding[]) => Promise<RenderedBody>;
  #next = new Set<Waiter>();
  #running = false;
  #waiting = 0;
  #closed = false;

  constructor(start: (encodings: readonly Encoding[]) => Promise<RenderedBody>) {
    this.#start = start;
  }

  render(encoding: Encoding, timeoutMs: number): Promise<Body> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new RmError('closed', 'the scrape endpoint is closed'));
      if (this.#waiting >= MAX_WAITING) {
        return reject(new RmError('too_many_scrapes', `${MAX_WAITING} scrapes are waiting`));
      }
      const batch = this.#next;
      const settled = () => {
        clearTimeout(timer);
        batch.delete(waiter);
        this.#waiting--;
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
      this.#waiting++;
      batch.add(waiter);
      if (!this.#running) void this.#run();
    });
  }

  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#next]) waiter.reject(new RmError('closed', 'shutting down'));
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#next.size > 0) {
      const batch = this.#next;
      this.#next = new Set();
      try {
        const encodings = new Set(Array.from(batch, ({ encoding }) => encoding));
        handOut(await this.#start([...encodings]), batch);
      } catch (error) {
        const failure =
          error instanceof RmError
            ? error
            : new RmError('render_failed', 'the render failed', { cause: error });
        for (const waiter of [...batch]) waiter.reject(failure);
      }
    }
    this.#running = false;
  }
}

/** Gives every waiter its own hold; the body is released when the last one lets go. */
function handOut(body: RenderedBody, batch: Set<Waiter>): void {
  let holds = batch.size;
  if (holds === 0) return body.release();
  const held = new Set<Body>();
  for (const waiter of [...batch]) {
    const hold: Body = {
      bytes: body.bytes(waiter.encoding),
      release() {
        if (!held.delete(hold)) return;
        if (--holds === 0) body.release();
      },
      onRevoked: () => {},
    };
    held.add(hold);
    waiter.resolve(hold);
  }
  body.onRevoked = () => {
    for (const hold of [...held]) hold.onRevoked();
  };
}
