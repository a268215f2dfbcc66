import { readFileSync } from 'node:fs';
import type { MountableApp, ScrapeResponse } from '../../src/platform/uws.ts';

/** What the loop did while it was watched. Milliseconds. */
export interface LoopReport {
  /** From the start of a turn to that of the next, sorted. */
  readonly turns: Float64Array;
  /** Of those over LONG_MS, what they took less what the thread waited for a core in them. */
  readonly longOwn: readonly number[];
  /** The longest that a callback of the scrape endpoint took, less what it waited for a core. */
  readonly longestCallback: number;
}

const LONG_MS = 1;
const SUSPICIOUS_MS = 0.2;
const MAX_TURNS = 2 ** 17;
/** Some 250 µs. */
const SPIN_LOADS = 50_000;

/**
 * Measures the turns of this thread's event loop. It keeps the loop turning without a rest, so that a
 * turn is what the callbacks in it take. Every turn makes garbage (an `Immediate`, a time), and collecting it
 * while other threads have the cores takes milliseconds: with turns as short as they can be that was most of
 * what a run found. So each turn is followed by some 250 µs of work that needs no memory.
 *
 * With two cores for server, render thread, scraper and load, some turns are long since the kernel gave the core
 * to another thread. Linux counts that (`run_delay` in /proc/PID/schedstat, nanoseconds), so it is told apart.
 */
export class LoopWatch {
  /** Allocated once: an array that grows is copied, and that takes longer than a turn. */
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

  /** What the main thread has waited for a core since this was asked last. */
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
