import { setTimeout } from 'node:timers/promises';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { Imported } from '../../contract/operations.ts';
import { type ErrorCode, RmError } from '../../errors.ts';
import { workerFile } from '../../platform/worker-file.ts';
import type { StatsWriter } from '../../shared/server-stats.ts';
import type {
  OpenedDatabase,
  StoreControl,
  StoreStatus,
  StoreThreadData,
} from '../../store-thread/store.worker.ts';
import { StoreClient, type StoreLink } from './store-client.ts';

/** Enough for the objects of a few batches. By default V8 would reserve three times 16 MiB. */
const YOUNG_GENERATION_MB = 16;
const IDLE_LIMIT_MS = 5_000;

/**
 * The store thread, seen from the main thread. The store thread has the database, and it is
 * the only writer of the fleet table.
 */
export class Store {
  readonly #worker: Worker;
  readonly #clients: StoreClient[] = [];
  readonly #exited: Promise<void>;
  readonly #nextConnection = new BigInt64Array(
    new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
  );
  readonly database: OpenedDatabase;
  #alive = true;
  #loops = 0;
  #closing: Promise<void> | undefined;

  private constructor(worker: Worker, database: OpenedDatabase) {
    this.#worker = worker;
    this.database = database;
    // `once` of node:events would reject when the thread dies of an error.
    this.#exited = new Promise((resolve) =>
      worker.on('exit', () => {
        this.#alive = false;
        resolve();
      }),
    );
  }

  /**
   * Starts the store thread. When this resolves, the database is open and the fleet table is
   * filled.
   * @throws RmError `database_failed`, `database_too_new`, `database_too_old`, `data_dir_locked`,
   * `no_database`
   */
  static async open(data: StoreThreadData): Promise<Store> {
    const worker = startThread(data);
    const status = await firstStatus(worker);
    if ('ready' in status) return new Store(worker, status.ready);
    await worker.terminate();
    throw 'failed' in status ? failureOf(status.failed) : ended();
  }

  /**
   * Copies a fleet from SQLite to PostgreSQL, in a store thread that does nothing else.
   * @param from the data directory
   * @throws RmError `usage`, `data_dir_locked`, `database_failed`, `database_not_empty`, `import_failed`
   */
  static async importFleet(from: string, databaseUrl: string): Promise<Imported> {
    const worker = startThread({
      dataDir: from,
      importFrom: from,
      databaseUrl,
      missing: 'create',
      serving: undefined,
    });
    const status = await firstStatus(worker);
    await worker.terminate();
    if ('imported' in status) return status.imported;
    throw 'failed' in status ? failureOf(status.failed) : ended();
  }

  /**
   * Calls `listener` if the thread ends before `close` was called, or if it cannot continue.
   * Nothing can be stored afterwards.
   */
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

  /** Connects the calling thread to the store. */
  connect(stats?: StatsWriter): StoreClient {
    const client = new StoreClient(this.link(), stats);
    this.#clients.push(client);
    return client;
  }

  /** Creates a link for another thread. Send it there with its port in the transfer list. */
  link(): StoreLink {
    const { port1, port2 } = new MessageChannel();
    const loop = this.#loops++;
    const progress = new Int32Array(new SharedArrayBuffer(4));
    this.#post({ attach: { loop, port: port1, progress } }, [port1]);
    return { loop, port: port2, progress, nextConnection: this.#nextConnection };
  }

  /**
   * Waits until the operations of all clients of `connect` are answered, at most IDLE_LIMIT_MS, and
   * then closes the database.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const idle = Promise.all(this.#clients.map((client) => client.idle()));
    const limit = new AbortController();
    // A dead thread answers nothing, so its exit ends the wait.
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

function startThread(workerData: StoreThreadData): Worker {
  return new Worker(workerFile('../../store-thread/store', import.meta.url), {
    workerData,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
}

/** Waits for the first message: the thread is ready, has failed, or has imported a fleet. */
function firstStatus(worker: Worker): Promise<StoreStatus> {
  return new Promise((resolve) => {
    worker.once('message', resolve);
    worker.once('error', (error) =>
      resolve({ failed: { code: 'database_failed', message: error.message } }),
    );
  });
}

function ended(): RmError {
  return new RmError('database_failed', 'the store thread ended');
}

function failureOf({ code, message }: { code: string; message: string }): RmError {
  return new RmError(code as ErrorCode, message);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return setTimeout(ms, undefined, { signal }).catch(() => {});
}
