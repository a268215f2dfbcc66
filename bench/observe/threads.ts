import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** How long the threads report jobs at a time: long enough for starting together not to matter. */
const STRETCH_MS = 10;

export interface ThreadData {
  readonly registry: SharedArrayBuffer;
  readonly floor: SharedArrayBuffer;
  /** One word: threads that stand ready. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

export interface Stretch {
  readonly observer: number;
  readonly ms: number;
}

/** Threads that report jobs to the same registry at the same time. */
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

  /** @returns for tinybench: the median of what a pass took, the mean over the threads, and what all of it took */
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
