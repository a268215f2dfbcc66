import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/**
 * Duration of one measurement. It is long enough that differences in the start of the threads do
 * not matter.
 */
const STRETCH_MS = 10;

export interface ThreadData {
  readonly registry: SharedArrayBuffer;
  readonly floor: SharedArrayBuffer;
  /** One word: the number of threads that are ready. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

export interface Stretch {
  readonly observer: number;
  readonly ms: number;
}

/** Threads that observe jobs in the same registry at the same time. */
export class ContendedThreads {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(
    threads: number,
    memory: Pick<ThreadData, 'registry' | 'floor'>,
  ): Promise<ContendedThreads> {
    const workerData: ThreadData = { ...memory, threads, gate: new SharedArrayBuffer(4) };
    const workers = Array.from(
      { length: threads },
      () => new Worker(new URL('./writer.worker.ts', import.meta.url), { workerData }),
    );
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    return new ContendedThreads(workers);
  }

  /**
   * Runs all threads once.
   * @returns for tinybench: the median duration of a pass, averaged over the threads, and the total
   * duration
   */
  async run(observer: number) {
    const startedAt = performance.now();
    const stretch: Stretch = { observer, ms: STRETCH_MS };
    const passes = await Promise.all(
      this.#workers.map(async (worker) => {
        worker.postMessage(stretch);
        const [msPerPass] = await once(worker, 'message');
        return Number(msPerPass);
      }),
    );
    return {
      overriddenDuration: passes.reduce((sum, ms) => sum + ms, 0) / passes.length,
      overriddenIterationCost: performance.now() - startedAt,
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
