import type { MountableApp, ScrapeResponse } from '../../src/platform/uws.ts';

/** What the loop did while it was watched. Milliseconds. */
export interface LoopReport {
  /** From the start of a turn to that of the next, sorted. */
  readonly turns: Float64Array;
  /** The longest that a callback of the scrape endpoint took. */
  readonly longestCallback: number;
}

/**
 * Measures the turns of this thread's event loop. It keeps the loop turning without a rest, so that a
 * turn is what the callbacks in it take. (Node's own time of a thread's CPU is as coarse as the kernel's
 * tick, so a turn in which the kernel gave the core to others is a long one; an idle run shows those.)
 */
export class LoopWatch {
  #turns: number[] = [];
  #longestCallback = 0;
  #watching = false;

  start(): void {
    this.#turns = [];
    this.#longestCallback = 0;
    this.#watching = true;
    let at = performance.now();
    const turn = () => {
      const now = performance.now();
      this.#turns.push(now - at);
      at = now;
      if (this.#watching) setImmediate(turn);
    };
    setImmediate(turn);
  }

  stop(): LoopReport {
    this.#watching = false;
    return {
      turns: Float64Array.from(this.#turns).sort(),
      longestCallback: this.#longestCallback,
    };
  }

  /** An app for the endpoint to mount on: each of its callbacks is timed. */
  timed(app: MountableApp): MountableApp {
    return {
      any: (pattern, handler) =>
        app.any(pattern, (res, req) => this.#time(() => handler(this.#timedResponse(res), req))),
    };
  }

  #timedResponse(res: ScrapeResponse): ScrapeResponse {
    return {
      getRemoteAddress: () => res.getRemoteAddress(),
      onAborted: (handler) => res.onAborted(handler),
      onWritable: (handler) => res.onWritable((offset) => this.#time(() => handler(offset))),
      cork: (write) => this.#time(() => res.cork(write)),
      writeStatus: (status) => res.writeStatus(status),
      writeHeader: (name, value) => res.writeHeader(name, value),
      end: (body) => res.end(body),
      endWithoutBody: () => res.endWithoutBody(),
      close: () => res.close(),
      tryEnd: (chunk, total) => res.tryEnd(chunk, total),
      getWriteOffset: () => res.getWriteOffset(),
    };
  }

  #time<T>(callback: () => T): T {
    const startedAt = performance.now();
    try {
      return callback();
    } finally {
      this.#longestCallback = Math.max(this.#longestCallback, performance.now() - startedAt);
    }
  }
}
