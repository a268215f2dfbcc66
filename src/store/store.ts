import { once } from 'node:events';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, RmError } from '../errors.ts';
import { workerFile } from '../platform/worker-file.ts';
import type { StoreControl, StoreStatus, StoreThreadData } from './store.worker.ts';
import { StoreClient, type StoreLink } from './store-client.ts';

/** The store: SQLite in a thread of its own, the only one that writes the database and the fleet table. */
export class Store {
  readonly #worker: Worker;
  readonly #clients: StoreClient[] = [];
  readonly #exited: Promise<unknown>;
  #alive = true;
  #loops = 0;
  #closing: Promise<void> | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#exited = once(worker, 'exit').then(() => {
      this.#alive = false;
    });
  }

  /**
   * Opens the database; when this resolves, the fleet table is filled.
   * @throws RmError `database_failed`, `database_too_new`, `data_dir_locked`
   */
  static async open(data: StoreThreadData): Promise<Store> {
    const worker = new Worker(workerFile('store', import.meta.url), {
      workerData: data,
      // node:sqlite is marked experimental on Node 22, which users need not read at every start.
      execArgv: [...process.execArgv, '--disable-warning=ExperimentalWarning'],
    });
    const status = await nextStatus(worker);
    if ('failed' in status) {
      await worker.terminate();
      throw new RmError(status.failed.code as ErrorCode, status.failed.message);
    }
    return new Store(worker);
  }

  /** Called if the thread ends before it was closed. Nothing can be stored any more. */
  onDeath(listener: (error: RmError) => void): void {
    const died = (cause?: unknown) => {
      if (this.#closing) return;
      listener(new RmError('database_failed', 'the store thread died', { cause }));
    };
    this.#worker.on('error', died);
    this.#worker.on('exit', () => died());
  }

  /** A line to the store for the calling thread. */
  connect(): StoreClient {
    const client = new StoreClient(this.link());
    this.#clients.push(client);
    return client;
  }

  /** A line to the store for another thread: send it there, with its port in the transfer list. */
  link(): StoreLink {
    const { port1, port2 } = new MessageChannel();
    const loop = this.#loops++;
    const progress = new Int32Array(new SharedArrayBuffer(4));
    this.#post({ attach: { loop, port: port1, progress } }, [port1]);
    return { loop, port: port2, progress };
  }

  /** Waits for what was submitted through `connect`, then closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const idle = Promise.all(this.#clients.map((client) => client.idle()));
    // A thread that has died answers nothing any more.
    await Promise.race([idle, this.#exited]);
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
