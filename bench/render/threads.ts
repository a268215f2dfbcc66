import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Encoding } from '../support/scraper.ts';
import type { ListedTask, RenderBenchData, RenderQuestion } from './protocol.ts';

/** The thread of a contestant. */
export class RenderBenchThread {
  readonly tasks: readonly ListedTask[];
  readonly #worker: Worker;

  private constructor(worker: Worker, tasks: readonly ListedTask[]) {
    this.#worker = worker;
    this.tasks = tasks;
  }

  static async start(data: RenderBenchData): Promise<RenderBenchThread> {
    const worker = new Worker(new URL('./contestant.worker.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: 8192 },
    });
    const [tasks] = await once(worker, 'message');
    return new RenderBenchThread(worker, tasks);
  }

  /**
   * Renders once.
   * @returns for tinybench: the duration of the render, and the total duration
   */
  async time(task: ListedTask) {
    const startedAt = performance.now();
    const ms = await this.#ask({ time: this.tasks.indexOf(task) });
    return {
      overriddenDuration: Number(ms),
      overriddenIterationCost: performance.now() - startedAt,
    };
  }

  /**
   * Returns the body of the first task for that encoding that is not the floor, or undefined if
   * there is none.
   */
  async body(encoding: Encoding): Promise<Buffer | undefined> {
    const index = this.tasks.findIndex(
      (task) => task.role !== 'floor' && task.encoding === encoding,
    );
    return index === -1 ? undefined : Buffer.from((await this.#ask({ body: index })) as Uint8Array);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(question: RenderQuestion): Promise<unknown> {
    const answered = once(this.#worker, 'message');
    this.#worker.postMessage(question);
    const [answer] = await answered;
    return answer;
  }
}
