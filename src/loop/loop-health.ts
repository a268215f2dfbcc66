import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LoopHealth } from '../shared/server-stats.ts';

const RESOLUTION_MS = 10;
const NANOSECONDS = 1e9;

/** Measures the delay of timers in this thread. */
export class LoopHealthMonitor {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  /** Returns the values since the previous call. */
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

/** Node measures the time between two timers, which includes the interval itself. */
function lateSeconds(nanoseconds: number): number {
  const seconds = nanoseconds / NANOSECONDS - RESOLUTION_MS / 1_000;
  // NaN if nothing was measured.
  return Math.max(seconds || 0, 0);
}
