import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { AccessRules } from '../access/gate.ts';
import type { Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import type { TemplatedApp } from '../platform/uws.ts';
import { workerFile } from '../platform/worker-file.ts';
import { serveRemoteRenders } from '../scrape/remote-render.ts';
import type { RenderSource } from '../scrape/render-source.ts';
import type { Store } from '../store/store.ts';
import type { AgentLoopData, AgentLoopStatus } from './agent-loop.worker.ts';

export interface AgentLoopsOptions {
  readonly count: number;
  readonly store: Store;
  readonly jobs: SharedArrayBuffer;
  readonly tls: Settings['tls'];
  readonly scrape: { readonly access: AccessRules; readonly source: RenderSource } | undefined;
  readonly onDeath: (error: RmError) => void;
}

/**
 * Agent loops in threads of their own, for more agents than one core can serve. The main thread accepts
 * the sockets and hands them out in turn; whatever comes by such a socket is answered in its loop.
 */
export class AgentLoops {
  readonly #workers: Worker[] = [];
  #closing = false;

  static async start(options: AgentLoopsOptions, acceptor: TemplatedApp): Promise<AgentLoops> {
    const loops = new AgentLoops();
    for (let loop = 0; loop < options.count; loop++) {
      const worker = startLoop(options);
      loops.#workers.push(worker);
      const status = await nextStatus(worker);
      if ('descriptor' in status) acceptor.addChildAppDescriptor(status.descriptor as object);
      const died = (cause?: unknown) => {
        if (!loops.#closing) {
          options.onDeath(new RmError('closed', 'an agent loop died', { cause }));
        }
      };
      worker.on('error', died);
      worker.on('exit', () => died());
    }
    return loops;
  }

  /** As `AgentEndpoint.drain`, in each loop; then the loops end. */
  async drain(): Promise<void> {
    this.#closing = true;
    await Promise.all(
      this.#workers.map(async (worker) => {
        const closed = nextStatus(worker);
        worker.postMessage('close');
        await closed;
        await worker.terminate();
      }),
    );
  }
}

function startLoop({ store, jobs, tls, scrape }: AgentLoopsOptions): Worker {
  const link = store.link();
  const transferList: Transferable[] = [link.port];
  let scrapeData: AgentLoopData['scrape'];
  if (scrape) {
    const { port1, port2 } = new MessageChannel();
    serveRemoteRenders(port1, scrape.source);
    scrapeData = { access: scrape.access, renders: port2 };
    transferList.push(port2);
  }
  const workerData: AgentLoopData = { store: link, jobs, tls, scrape: scrapeData };
  return new Worker(workerFile('agent-loop', import.meta.url), { workerData, transferList });
}

function nextStatus(worker: Worker): Promise<AgentLoopStatus> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
