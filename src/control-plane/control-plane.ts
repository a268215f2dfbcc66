import { compileGate } from '../access/gate.ts';
import { AgentEndpoint } from '../agents/endpoint.ts';
import type { Settings } from '../config/settings.ts';
import { messageOf, type RmError } from '../errors.ts';
import { allocateFleetBuffer } from '../metrics/fleet-layout.ts';
import { JobHistogram } from '../metrics/job-histogram.ts';
import { packageCommit, packageVersion } from '../platform/build-info.ts';
import type { Logger } from '../platform/log.ts';
import { RenderThread } from '../render/render-thread.ts';
import type { ScrapeEndpointOptions } from '../scrape/endpoint.ts';
import { SharedRender } from '../scrape/shared-render.ts';
import { Store } from '../store/store.ts';
import type { StoreClient } from '../store/store-client.ts';
import { AgentLoops } from './agent-loops.ts';
import { Listener } from './listener.ts';
import { mountRoutes } from './routes.ts';

export interface ControlPlaneOptions {
  readonly settings: Settings;
  readonly log: Logger;
  /** Told when a thread died without which this control plane is of no use. */
  readonly onDeath: (error: RmError) => void;
  /** Told the size of each scrape that the main thread answered; extra agent loops answer their own. */
  readonly onScrape?: (bytes: number) => void;
}

export interface ControlPlane {
  /** Where agents connect, as `http://HOST:PORT`. */
  readonly url: string;
  /** The listener for metrics, if they have one of their own. */
  readonly metricsUrl: string | undefined;
  readonly store: StoreClient;
  /** Stores and acknowledges what was accepted, sends the agents away, and closes everything. */
  close(): Promise<void>;
}

/** Closes what was started, in reverse. */
type Closer = () => void | Promise<void>;

/**
 * Starts the parts and wires them.
 * @throws RmError `listen_failed`, `data_dir_locked`, `database_failed`, `database_too_new`
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { settings, onDeath } = options;
  const closers: Closer[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const jobs = JobHistogram.create();
    const fleet = allocateFleetBuffer();
    const store = await Store.open({ dataDir: settings.dataDir, fleet });
    store.onDeath(onDeath);
    closers.push(() => store.close());

    const scrape = await startScrape(options, jobs, fleet, closers);
    const shared = settings.metricsListen === undefined ? scrape : undefined;
    const client = store.connect();
    await client.ready;
    const listener = new Listener(settings.tls);
    closers.push(() => listener.close());
    if (settings.agentThreads === 1) {
      const writer = jobs.writer();
      const agents = new AgentEndpoint({
        store: client,
        observeJob: (kind, status, durationMs) => writer.observeJob(kind, status, durationMs),
      });
      agents.mount(listener.app);
      closers.push(() => agents.drain());
    } else {
      const loops = await AgentLoops.start(
        {
          count: settings.agentThreads,
          store,
          jobs: jobs.buffer,
          tls: settings.tls,
          scrape: shared && { access: settings.access, source: shared.source },
          onDeath,
        },
        listener.app,
      );
      closers.push(() => loops.drain());
    }
    mountRoutes(listener.app, shared);
    const metricsUrl =
      settings.metricsListen && (await listenForMetrics(settings, scrape, closers));
    const url = await listener.listen(settings.listen);
    return { url, metricsUrl, store: client, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The render thread and the endpoint's options; nothing without a gate, since then there is no endpoint. */
async function startScrape(
  { settings, log, onScrape }: ControlPlaneOptions,
  jobs: JobHistogram,
  fleet: SharedArrayBuffer,
  closers: Closer[],
): Promise<ScrapeEndpointOptions | undefined> {
  const gate = compileGate(settings.access);
  if (gate === undefined) {
    log.warn('no /metrics: set RM_METRICS_TOKEN or RM_METRICS_TRUSTED_CIDR to enable it');
    return undefined;
  }
  const thread = new RenderThread({
    fleet,
    jobs: jobs.buffer,
    build: { version: packageVersion(), commit: packageCommit(), nodeVersion: process.version },
  });
  closers.push(() => thread.close());
  await thread.warmUp();
  const source = new SharedRender((encodings) => thread.render(encodings));
  closers.push(() => source.close());
  const onFailure = (error: unknown) => {
    const cause = error instanceof Error ? error.cause : undefined;
    log.error({ err: error, cause: cause && messageOf(cause) }, 'a scrape was answered with 503');
  };
  return { gate, source, onFailure, onScrape };
}

async function listenForMetrics(
  settings: Settings,
  scrape: ScrapeEndpointOptions | undefined,
  closers: Closer[],
): Promise<string> {
  const listener = new Listener(settings.tls);
  closers.push(() => listener.close());
  mountRoutes(listener.app, scrape);
  return listener.listen(settings.metricsListen as NonNullable<Settings['metricsListen']>);
}
