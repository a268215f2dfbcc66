import { MessageChannel } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import { compileGate } from '../../src/access/gate.ts';
import { RenderThread } from '../../src/loop/doors/render-thread.ts';
import { RequestBudget } from '../../src/loop/http/request-budget.ts';
import { mountScrapeEndpoint } from '../../src/loop/scrape/endpoint.ts';
import { RemoteRender, serveRemoteRenders } from '../../src/loop/scrape/remote-render.ts';
import { SharedRender } from '../../src/loop/scrape/shared-render.ts';
import { uws } from '../../src/platform/uws.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { NOT_EMBEDDED } from '../../src/shared/server-families.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { TOKEN } from './serve.ts';

/**
 * The scrape endpoint on a uWebSockets.js app in the test's process. It is wired as in
 * `createMetrics`, but gives access to what that hides: the start of a render, and the render
 * thread.
 */
export class ScrapeRig {
  readonly fleet = new FleetTable();
  readonly thread: RenderThread;
  /** Called just before a render starts. */
  onRender: () => void = () => {};
  /** The causes of the answers with 503. */
  readonly failures: unknown[] = [];
  #url = '';
  #held: Promise<void> | undefined;

  private constructor() {
    this.thread = new RenderThread({
      fleet: this.fleet.buffer,
      jobs: JobHistogram.create().buffer,
      stats: undefined,
      exclude: NOT_EMBEDDED,
      build: { version: '0', commit: '0', nodeVersion: '0' },
    });
  }

  /**
   * Starts a rig. A thousand hosts are a megabyte of exposition. With `remote`, the endpoint gets
   * its bodies through a port, as in an additional agent loop.
   */
  static async start(hosts: number, { remote = false } = {}): Promise<ScrapeRig> {
    const rig = new ScrapeRig();
    for (let host = 0; host < hosts; host++) {
      rig.fleet.upsert({ hostId: hostId(host), host: hostName(host), online: host % 2 === 0 });
    }
    const gate = compileGate({ token: TOKEN });
    if (gate === undefined) throw new Error('no gate');
    const source = new SharedRender(async (encodings) => {
      await rig.#held;
      rig.onRender();
      return rig.thread.render(encodings);
    });
    const ports = new MessageChannel();
    serveRemoteRenders(ports.port1, source);
    const remoteSource = new RemoteRender(ports.port2);
    const app = uws().App();
    onTestFinished(async () => {
      remoteSource.close();
      source.close();
      await rig.thread.close();
      app.close();
    });
    mountScrapeEndpoint(app, {
      gate,
      source: remote ? remoteSource : source,
      requests: new RequestBudget(),
      counter: ServerStats.create().writer(),
      onFailure: (error) => rig.failures.push(error),
    });
    await new Promise<void>((resolve, reject) =>
      app.listen('127.0.0.1', 0, (socket) => {
        if (socket === false) return reject(new Error('cannot listen'));
        rig.#url = `http://127.0.0.1:${uws().us_socket_local_port(socket)}/metrics`;
        resolve();
      }),
    );
    await rig.thread.warmUp();
    return rig;
  }

  get url(): string {
    return this.#url;
  }

  /** Delays all renders until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return resolve;
  }
}

/** A ULID for a number. ULIDs sort like their numbers. */
export function hostId(host: number): string {
  return `01J${String(host).padStart(23, '0')}`;
}

/** Long enough for a large exposition. */
export function hostName(host: number): string {
  return `host-${host}-${'n'.repeat(160)}`;
}
