import { setTimeout } from 'node:timers/promises';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { AccessRules } from '../access/gate.ts';
import type { Reload } from '../config/reload.ts';
import type { Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import { workerFile } from '../platform/worker-file.ts';
import type { AgentLoopControl, AgentLoopData, AgentLoopStatus } from './agent-loop.worker.ts';
import type { QuerySource } from './api/query-source.ts';
import { serveRemoteQueries } from './api/remote-queries.ts';
import type { Store } from './doors/store.ts';
import type { Listener } from './listener.ts';
import { serveRemoteRenders } from './scrape/remote-render.ts';
import type { RenderSource } from './scrape/render-source.ts';

export interface AgentLoopsOptions {
  readonly count: number;
  readonly openSockets: SharedArrayBuffer;
  readonly store: Store;
  readonly jobs: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly logLevel: string;
  readonly tls: Settings['tls'];
  readonly access: AccessRules;
  /** Source of bodies, if the scrape endpoint is on the agents' listener. */
  readonly renders: RenderSource | undefined;
  /** Source of the answers of the API; set if `renders` is. */
  readonly queries: QuerySource | undefined;
  readonly onDeath: (error: RmError) => void;
}

/**
 * Limit of V8's young generation, in which the objects of a message live. V8's default is three times
 * as large.
 */
const YOUNG_GENERATION_MB = 16;
/** How long a closed thread may take to end before it is terminated. */
const END_LIMIT_MS = 1_000;

/**
 * Runs agent loops in further threads, for more agents than one core can serve. The main thread accepts
 * the sockets and gives them to the loops in turn. A loop answers everything that its sockets receive,
 * scrapes too.
 */
export class AgentLoops {
  readonly #loops: AgentLoop[] = [];

  static async start(options: AgentLoopsOptions, listener: Listener): Promise<AgentLoops> {
    const loops = new AgentLoops();
    try {
      for (let loop = 0; loop < options.count; loop++) {
        loops.#loops.push(await AgentLoop.start(options, listener));
      }
      return loops;
    } catch (error) {
      await loops.drain(0);
      throw error;
    }
  }

  reload(reload: Reload): void {
    for (const loop of this.#loops) loop.reload(reload);
  }

  /**
   * Runs `AgentEndpoint.drain` in each loop, and then ends the loops. The caller must have stopped the
   * listener.
   */
  async drain(limitMs?: number): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.drain(limitMs)));
  }
}

class AgentLoop {
  readonly #worker: Worker;
  readonly #listener: Listener;
  /** Descriptor of the app in the loop that gets accepted sockets. */
  #descriptor: object | undefined;
  #isClosing = false;

  private constructor(worker: Worker, listener: Listener) {
    this.#worker = worker;
    this.#listener = listener;
  }

  static start(options: AgentLoopsOptions, listener: Listener): Promise<AgentLoop> {
    const worker = startThread(options);
    const loop = new AgentLoop(worker, listener);
    return new Promise((resolve, reject) => {
      const died = (cause?: unknown) => {
        if (loop.#isClosing) return;
        loop.#isClosing = true;
        loop.#stopServing();
        const error = new RmError('closed', 'an agent loop died', { cause });
        options.onDeath(error);
        reject(error);
      };
      worker.on('message', (status: AgentLoopStatus) => {
        if ('descriptor' in status) loop.#serveBy(status.descriptor);
        // The log shows only causes that are errors.
        if ('died' in status) died(Object.assign(new Error(), status.died));
        else resolve(loop);
      });
      worker.on('error', died);
      worker.on('exit', () => died());
    });
  }

  reload({ token, tls }: Reload): void {
    if (token !== undefined) this.#post({ token });
    if (tls !== undefined) this.#post({ tls });
  }

  /**
   * Drains the loop and ends its thread. Removes its app from the acceptor first: giving a socket to an
   * app that is closed crashes the process.
   */
  async drain(limitMs: number | undefined): Promise<void> {
    // Also true for a loop that has died. It has nothing to drain.
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#stopServing();
    // `once` of node:events would reject if the thread dies of an error.
    const exited = new Promise((resolve) => this.#worker.on('exit', resolve));
    const closed = new Promise<void>((resolve) =>
      this.#worker.on('message', (status: AgentLoopStatus) => {
        if ('closed' in status) resolve();
      }),
    );
    this.#post({ close: { limitMs } });
    await Promise.race([closed, exited]);
    const limit = new AbortController();
    const tooLong = setTimeout(END_LIMIT_MS, 'too long', limit).catch(() => '');
    if ((await Promise.race([exited, tooLong])) === 'too long') await this.#worker.terminate();
    limit.abort();
  }

  #stopServing(): void {
    if (this.#descriptor) this.#listener.removeLoop(this.#descriptor);
    this.#descriptor = undefined;
  }

  #serveBy(descriptor: object): void {
    if (this.#isClosing) return;
    this.#listener.addLoop(descriptor);
    if (this.#descriptor) this.#listener.removeLoop(this.#descriptor);
    this.#descriptor = descriptor;
  }

  #post(message: AgentLoopControl): void {
    this.#worker.postMessage(message);
  }
}

function startThread(options: AgentLoopsOptions): Worker {
  const { store, jobs, stats, events, logLevel, tls, access, renders: source } = options;
  const link = store.link();
  const transferList: Transferable[] = [link.port];
  let renders: AgentLoopData['renders'];
  if (source) {
    const { port1, port2 } = new MessageChannel();
    serveRemoteRenders(port1, source);
    renders = port2;
    transferList.push(port2);
  }
  let queries: AgentLoopData['queries'];
  if (options.queries) {
    const { port1, port2 } = new MessageChannel();
    serveRemoteQueries(port1, options.queries);
    queries = port2;
    transferList.push(port2);
  }
  const workerData: AgentLoopData = {
    store: link,
    jobs,
    stats,
    events,
    logLevel,
    openSockets: options.openSockets,
    tls,
    access,
    renders,
    queries,
  };
  return new Worker(workerFile('./agent-loop', import.meta.url), {
    workerData,
    transferList,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
}
