import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LoopHealth } from '../shared/server-stats.ts';

const RESOLUTION_MS = 10;
const NANOSECONDS = 1e9;

/** Watches how late timers of this thread fire. */
export class LoopHealthMonitor {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  /** Since the reading before. */
  read(): LoopHealth {
    const { mean } = this.#delay;
    const p99 = this.#delay.percentile(99);
    this.#delay.reset();
    return {
      lagSeconds: lateSeconds(mean),
      lagP99Seconds: lateSeconds(p99),
      heapUsedBytes: process.memoryUsage().heapUsed,
    };
  }

  close(): void {
    this.#delay.disable();
  }
}

/** What is measured is the time between two timers, so that the interval itself is in it. */
function lateSeconds(nanoseconds: number): number {
  const seconds = nanoseconds / NANOSECONDS - RESOLUTION_MS / 1_000;
  // NaN when nothing was measured.
  return Math.max(seconds || 0, 0);
}
