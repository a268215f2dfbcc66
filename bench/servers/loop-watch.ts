import { readFileSync } from 'node:fs';
import type { MountableApp, ScrapeResponse } from '../../src/platform/uws.ts';

/** What was measured of the loop. All times are in milliseconds. */
export interface LoopReport {
  /** Durations of the turns, sorted. */
  readonly turns: Float64Array;
  /** Durations of the turns over LONG_MS, minus the time in which the thread waited for a core. */
  readonly longOwn: readonly number[];
  /** The longest duration of a callback of the scrape endpoint, minus the time it waited for a core. */
  readonly longestCallback: number;
}

const LONG_MS = 1;
const SUSPICIOUS_MS = 0.2;
const MAX_TURNS = 2 ** 17;
/** Takes about 250 µs. */
const SPIN_LOADS = 50_000;

/**
 * Measures the turns of the event loop of this thread. The loop never sleeps, so the duration of a
 * turn is that of its callbacks.
 *
 * Every turn creates garbage (an `Immediate`, a time). Collecting it takes milliseconds while other
 * threads use the cores. With turns as short as possible, most of the measured time was garbage
 * collection. So each turn is followed by about 250 µs of work that allocates nothing.
 *
 * Server, render thread, scraper and load share two cores, so some turns are long only because the
 * kernel gave the core to another thread. Linux counts that time (`run_delay` in
 * /proc/PID/schedstat, nanoseconds), and it is subtracted.
 */
export class LoopWatch {
  /** Allocated once: growing an array copies it, which takes longer than a turn. */
  readonly #turns = new Float64Array(MAX_TURNS);
  #count = 0;
  #longOwn: number[] = [];
  #longestCallback = 0;
  #watching = false;
  #waitedMs = 0;

  start(): void {
    this.#count = 0;
    this.#longOwn = [];
    this.#longestCallback = 0;
    this.#watching = true;
    this.#waitedSinceLast();
    let at = performance.now();
    const turn = () => {
      const now = performance.now();
      const took = now - at;
      this.#turns[this.#count++ % MAX_TURNS] = took;
      if (took > LONG_MS) this.#longOwn.push(took - Math.min(took, this.#waitedSinceLast()));
      spin();
      at = performance.now();
      if (this.#watching) setImmediate(turn);
    };
    setImmediate(turn);
  }

  stop(): LoopReport {
    this.#watching = false;
    return {
      turns: this.#turns.slice(0, this.#count).sort(),
      longOwn: this.#longOwn,
      longestCallback: this.#longestCallback,
    };
  }

  /** Wraps an app so that each callback of the endpoint mounted on it is timed. */
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
      onData: (handler) => res.onData(handler),
      onWritable: (handler) => res.onWritable((offset) => this.#time(() => handler(offset))),
      cork: (write) => this.#time(() => res.cork(write)),
      writeStatus: (status) => res.writeStatus(status),
      writeHeader: (name, value) => res.writeHeader(name, value),
      end: (body, close) => res.end(body, close),
      endWithoutBody: (length, close) => res.endWithoutBody(length, close),
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
      const took = performance.now() - startedAt;
      if (took > SUSPICIOUS_MS) {
        const own = took - Math.min(took, this.#waitedSinceLast());
        this.#longestCallback = Math.max(this.#longestCallback, own);
      }
    }
  }

  /** Milliseconds that the main thread has waited for a core since the last call. */
  #waitedSinceLast(): number {
    const before = this.#waitedMs;
    const [, delayNs] = readFileSync(`/proc/${process.pid}/schedstat`, 'utf8').split(' ');
    this.#waitedMs = Number(delayNs) / 1e6;
    return this.#waitedMs - before;
  }
}

const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

function spin(): void {
  for (let loads = 0; loads < SPIN_LOADS; loads++) Atomics.load(cell, 0);
}
