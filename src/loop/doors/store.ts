import { setTimeout } from 'node:timers/promises';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, RmError } from '../../errors.ts';
import { workerFile } from '../../platform/worker-file.ts';
import type { StatsWriter } from '../../shared/server-stats.ts';
import type {
  StoreControl,
  StoreStatus,
  StoreThreadData,
} from '../../store-thread/store.worker.ts';
import { StoreClient, type StoreLink } from './store-client.ts';

/** Left alone, V8 keeps three times 16 MiB for objects that live as long as a batch. */
const YOUNG_GENERATION_MB = 16;
const IDLE_LIMIT_MS = 5_000;

/** The store: SQLite in a thread of its own, the only one that writes the database and the fleet table. */
export class Store {
  readonly #worker: Worker;
  readonly #clients: StoreClient[] = [];
  readonly #exited: Promise<void>;
  readonly #connections = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  #alive = true;
  #loops = 0;
  #closing: Promise<void> | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    // Not by `once` of node:events, which rejects when the thread dies of an error.
    this.#exited = new Promise((resolve) =>
      worker.on('exit', () => {
        this.#alive = false;
        resolve();
      }),
    );
  }

  /**
   * Opens the database; when this resolves, the fleet table is filled.
   * @throws RmError `database_failed`, `database_too_new`, `data_dir_locked`
   */
  static async open(data: StoreThreadData): Promise<Store> {
    const worker = new Worker(workerFile('../../store-thread/store', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const status = await nextStatus(worker);
    if ('failed' in status) {
      await worker.terminate();
      throw failureOf(status.failed);
    }
    return new Store(worker);
  }

  /** Called if the thread ends before it was closed, or cannot go on. Nothing can be stored any more. */
  onDeath(listener: (error: RmError) => void): void {
    const died = (cause?: unknown) => {
      if (this.#closing) return;
      listener(new RmError('database_failed', 'the store thread died', { cause }));
    };
    this.#worker.on('message', (status: StoreStatus) => {
      if ('failed' in status) listener(failureOf(status.failed));
    });
    this.#worker.on('error', died);
    this.#worker.on('exit', () => died());
  }

  /** A line to the store for the calling thread. */
  connect(stats?: StatsWriter): StoreClient {
    const client = new StoreClient(this.link(), stats);
    this.#clients.push(client);
    return client;
  }

  /** A line to the store for another thread: send it there, with its port in the transfer list. */
  link(): StoreLink {
    const { port1, port2 } = new MessageChannel();
    const loop = this.#loops++;
    const progress = new Int32Array(new SharedArrayBuffer(4));
    this.#post({ attach: { loop, port: port1, progress } }, [port1]);
    return { loop, port: port2, progress, connections: this.#connections };
  }

  /** Waits for what was submitted through `connect`, but not for ever, then closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const idle = Promise.all(this.#clients.map((client) => client.idle()));
    const limit = new AbortController();
    // A thread that has died answers nothing any more.
    await Promise.race([idle, this.#exited, sleep(IDLE_LIMIT_MS, limit.signal)]);
    limit.abort();
    if (this.#alive) this.#post({ close: true });
    await this.#exited;
    for (const client of this.#clients) client.close();
  }

  #post(message: StoreControl, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}

function nextStatus(worker: Worker): Promise<StoreStatus> {
  return new Promise((resolve) => {
    worker.once('message', resolve);
    worker.once('error', (error) =>
      resolve({ failed: { code: 'database_failed', message: error.message } }),
    );
  });
}

function failureOf({ code, message }: { code: string; message: string }): RmError {
  return new RmError(code as ErrorCode, message);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return setTimeout(ms, undefined, { signal }).catch(() => {});
}
