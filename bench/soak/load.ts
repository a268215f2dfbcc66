import { Worker } from 'node:worker_threads';
import type { LoadData, LoadMessage, LoadState, Orders } from './load.worker.ts';

/** Runs the agents in their own thread. */
export class Load {
  /** The last state that the thread sent. */
  state: LoadState = { online: 0, acknowledged: 0, surprises: new Map() };
  /** Rejects if the thread fails. */
  readonly died: Promise<never>;
  readonly #worker: Worker;
  readonly #answers = new Map<number, (answer: never) => void>();
  #orders = 0;

  constructor(data: LoadData) {
    this.#worker = new Worker(new URL('./load.worker.ts', import.meta.url), { workerData: data });
    this.#worker.on('message', (message: LoadMessage) => {
      if ('state' in message) {
        this.state = message.state;
        return;
      }
      this.#answers.get(message.answerTo)?.(message.answer as never);
      this.#answers.delete(message.answerTo);
    });
    this.died = new Promise((_, reject) => this.#worker.once('error', reject));
    // The soak awaits this promise later. Until then a rejection must not end the process.
    this.died.catch(() => {});
  }

  tell<K extends keyof Orders>(
    order: K,
    request: Orders[K]['request'],
  ): Promise<Orders[K]['answer']> {
    const number = this.#orders++;
    this.#worker.postMessage({ number, order, request });
    return new Promise((resolve) => this.#answers.set(number, resolve));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
