import { Worker } from 'node:worker_threads';
import { workerFile } from '../platform/worker-file.ts';
import type { Activity } from './activity.ts';
import type { AgentsThreadData } from './agents.worker.ts';
import type { EnrolledHost } from './enrolment.ts';

export interface AgentsThreadOptions {
  /** Address of the control plane: `http://HOST:PORT`. */
  readonly url: string;
  readonly hosts: readonly EnrolledHost[];
  readonly activity: Activity;
  /** Called when the thread dies. */
  readonly onDeath: (error: unknown) => void;
}

/** Runs the simulated agents in a thread of their own. */
export class AgentsThread {
  readonly #worker: Worker;

  constructor({ url, hosts, activity, onDeath }: AgentsThreadOptions) {
    const data: AgentsThreadData = {
      url: `${url.replace(/^http/, 'ws')}/ws/agent`,
      hosts,
      activity: activity.buffer,
    };
    this.#worker = new Worker(workerFile('./agents', import.meta.url), { workerData: data });
    this.#worker.on('error', onDeath);
  }

  /**
   * Terminates the thread and its sockets. Closing thousands of connections properly would delay
   * the end after Ctrl-C.
   */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
