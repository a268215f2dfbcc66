import { Worker } from 'node:worker_threads';
import {
  ANSWER_LIMIT_MS,
  type Query,
  type QueryAnswer,
  type QueryReply,
  type QueryRequest,
} from '../../contract/queries.ts';
import { messageOf } from '../../errors.ts';
import { workerFile } from '../../platform/worker-file.ts';
import type { QueryThreadData } from '../../query-thread/query.worker.ts';

/** Maximum number of requests that wait for an answer, in all loops together. Further ones are refused. */
export const MAX_WAITING_QUERIES = 64;
/** How long the thread may take to close its connection to the database. */
const CLOSE_LIMIT_MS = 1_000;
/** Enough for some answers. By default V8 would reserve three times 16 MiB. */
const YOUNG_GENERATION_MB = 16;

interface Waiting {
  readonly thread: Worker;
  readonly settle: (answer: QueryAnswer) => void;
}

/**
 * The query thread, which answers the requests of the API. It starts with the first request. If it dies or does
 * not answer in time, its requests fail, and the next request starts another one.
 */
export class QueryThread {
  readonly #data: QueryThreadData;
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #requests = 0;
  #isClosed = false;

  constructor(data: QueryThreadData) {
    this.#data = data;
  }

  /**
   * The current thread, for tests that kill it.
   * @internal
   */
  get thread(): Worker | undefined {
    return this.#thread;
  }

  /** Never rejects. */
  ask(query: Query): Promise<QueryAnswer> {
    if (this.#isClosed) return failure('api_failed', 'shutting down');
    if (this.#waiting.size >= MAX_WAITING_QUERIES) {
      return failure('too_many_requests', `${MAX_WAITING_QUERIES} requests are waiting`);
    }
    const id = this.#requests++;
    try {
      this.#thread ??= this.#start();
    } catch (error) {
      return failure('api_failed', `the query thread cannot start: ${messageOf(error)}`);
    }
    const thread = this.#thread;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#end(thread, 'api_too_late', `no answer after ${ANSWER_LIMIT_MS} ms`);
        void thread.terminate();
      }, ANSWER_LIMIT_MS);
      const settle = (answer: QueryAnswer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      };
      this.#waiting.set(id, { thread, settle });
      post(thread, { id, query });
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#end(thread, 'api_failed', 'shutting down');
    const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    const timer = setTimeout(() => void thread.terminate(), CLOSE_LIMIT_MS);
    post(thread, { close: true });
    await exited;
    clearTimeout(timer);
  }

  #start(): Worker {
    const thread = new Worker(workerFile('../../query-thread/query', import.meta.url), {
      workerData: this.#data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    thread.on('message', ({ id, answer }: QueryReply) => this.#waiting.get(id)?.settle(answer));
    thread.on('error', (error) =>
      this.#end(thread, 'api_failed', `the query thread died: ${messageOf(error)}`),
    );
    thread.on('exit', () => this.#end(thread, 'api_failed', 'the query thread died'));
    return thread;
  }

  /** Fails the requests of a thread. The next request starts another one. */
  #end(thread: Worker, failed: 'api_failed' | 'api_too_late', message: string): void {
    if (this.#thread === thread) this.#thread = undefined;
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.thread === thread) waiting.settle({ failed, message });
    }
  }
}

function post(thread: Worker, request: QueryRequest): void {
  thread.postMessage(request);
}

async function failure(
  failed: 'api_failed' | 'too_many_requests',
  message: string,
): Promise<QueryAnswer> {
  return { failed, message };
}
