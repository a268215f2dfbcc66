import { compileGate, proxiesInTrustedNetworks, TOKEN_OVERLAP_MS } from '../access/gate.ts';
import { Networks } from '../access/networks.ts';
import { applicable, type Reload } from '../config/reload.ts';
import type { Settings } from '../config/settings.ts';
import type { RmError } from '../errors.ts';
import { AgentLoops } from '../loop/agent-loops.ts';
import { AgentEndpoint } from '../loop/agents/endpoint.ts';
import { RenderThread } from '../loop/doors/render-thread.ts';
import { Store } from '../loop/doors/store.ts';
import type { StoreClient } from '../loop/doors/store-client.ts';
import { RequestBudget } from '../loop/http/request-budget.ts';
import { MAX_METRICS_SOCKETS, SocketLimit } from '../loop/http/socket-limit.ts';
import { createApp, Listener } from '../loop/listener.ts';
import { LoopHealthMonitor } from '../loop/loop-health.ts';
import { mountRoutes } from '../loop/routes.ts';
import type { ScrapeEndpointOptions } from '../loop/scrape/endpoint.ts';
import { SharedRender } from '../loop/scrape/shared-render.ts';
import { reportTo } from '../loop/scrape-reports.ts';
import { packageCommit, packageVersion } from '../platform/build-info.ts';
import { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/log.ts';
import { allocateFleetBuffer } from '../shared/fleet-layout.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { ServerStats, type StatsWriter } from '../shared/server-stats.ts';

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
  /** Takes over a new token and a new certificate. Connections that there are go on. */
  reload(reload: Reload): void;
  /** Stores and acknowledges what was accepted, sends the agents away, and closes everything. */
  close(): Promise<void>;
  /**
   * Closes the sockets without waiting for anything to be stored, before the process ends because it cannot go on:
   * ending it with open sockets in other threads would crash it.
   */
  abandon(): Promise<void>;
}

/** Closes what was started, in reverse. */
type Closer = () => void | Promise<void>;

/** What the parts share. */
interface Shared {
  readonly jobs: JobHistogram;
  readonly fleet: SharedArrayBuffer;
  readonly stats: ServerStats;
  /** Of the main thread. */
  readonly counter: StatsWriter;
  readonly requests: RequestBudget;
  readonly openSockets: SharedArrayBuffer;
  readonly sockets: SocketLimit;
  readonly eventLimits: SharedArrayBuffer;
  readonly events: EventLog;
  readonly closers: Closer[];
  readonly reloaders: ((reload: Reload) => void)[];
  readonly abandoners: (() => Promise<void>)[];
}

/**
 * Starts the parts and wires them.
 * @throws RmError `listen_failed`, `data_dir_locked`, `database_failed`, `database_too_new`
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { settings, log, onDeath } = options;
  const stats = ServerStats.create();
  const counter = stats.writer();
  const eventLimits = EventLog.allocate();
  const openSockets = SocketLimit.allocate();
  const shared: Shared = {
    jobs: JobHistogram.create(),
    fleet: allocateFleetBuffer(),
    stats,
    counter,
    requests: new RequestBudget(() => counter.refusal('too_many_requests')),
    openSockets,
    sockets: new SocketLimit(openSockets, () => counter.refusal('too_many_connections')),
    eventLimits,
    events: new EventLog(log, eventLimits),
    closers: [],
    reloaders: [],
    abandoners: [],
  };
  const { closers, reloaders, abandoners } = shared;
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const store = await Store.open({
      dataDir: settings.dataDir,
      serving: {
        fleet: shared.fleet,
        exclude: settings.metricsExclude,
        stats: stats.buffer,
        events: eventLimits,
        logLevel: settings.logLevel,
      },
    });
    store.onDeath(onDeath);
    closers.push(() => store.close());
    const client = store.connect(shared.counter);
    await client.ready;

    const scrape = await startScrape(options, shared);
    const scrapeOfAgents = settings.metricsListen === undefined ? scrape : undefined;
    const listener = await serveAgents(options, shared, store, client, scrapeOfAgents);
    const metricsUrl = settings.metricsListen && (await listenForMetrics(settings, scrape, shared));
    const url = await listener.listen(settings.listen);
    // Whatever has to be done at the end, nobody new comes in meanwhile.
    closers.push(() => listener.stopListening());
    const abandon = async () => {
      listener.stopListening();
      for (const abandoner of abandoners) await abandoner();
    };
    return {
      abandon,
      url,
      metricsUrl,
      store: client,
      reload: (reload) => {
        const takenOver = applicable(reload, settings);
        // uWebSockets.js may refuse what Node takes; then nothing is changed anywhere.
        if (takenOver.tls) createApp(takenOver.tls).close();
        for (const reloader of reloaders) reloader(takenOver);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The endpoint of the agents, in this thread or in loops of their own. @returns what is to listen for them */
async function serveAgents(
  { settings, onDeath }: ControlPlaneOptions,
  shared: Shared,
  store: Store,
  client: StoreClient,
  scrape: ScrapeEndpointOptions | undefined,
): Promise<Listener> {
  const { jobs, stats, counter, requests, sockets, events, eventLimits, closers, reloaders } =
    shared;
  const { tls, access, agentThreads, logLevel } = settings;
  if (agentThreads === 1) {
    const writer = jobs.writer();
    const agents = new AgentEndpoint({
      store: client,
      stats: counter,
      events,
      requests,
      sockets,
      proxies: new Networks(access.trustedProxies, 'trusted_proxies'),
      observeJob: (kind, status, durationMs) => writer.observeJob(kind, status, durationMs),
    });
    const listener = new Listener(tls, (app) => {
      agents.mount(app);
      mountRoutes(app, requests, scrape);
    });
    closers.push(
      () => listener.close(),
      () => agents.drain(),
    );
    reloaders.push((reload) => listener.renewCertificate(reload.tls));
    return listener;
  }
  const listener = new Listener(tls, undefined);
  closers.push(() => listener.close());
  const loops = await AgentLoops.start(
    {
      count: agentThreads,
      openSockets: shared.openSockets,
      store,
      jobs: jobs.buffer,
      stats: stats.buffer,
      events: eventLimits,
      logLevel,
      tls,
      access,
      renders: scrape?.source,
      onDeath,
    },
    listener,
  );
  closers.push(() => loops.drain());
  shared.abandoners.push(() => loops.drain(0));
  reloaders.push((reload) => loops.reload(reload));
  return listener;
}

/** The render thread and the endpoint's options; nothing without a gate, since then there is no endpoint. */
async function startScrape(
  { settings, log, onScrape }: ControlPlaneOptions,
  { jobs, fleet, stats, counter, requests, events, closers, reloaders }: Shared,
): Promise<ScrapeEndpointOptions | undefined> {
  const gate = compileGate(settings.access);
  if (gate === undefined) {
    log.warn('no /metrics: set RM_METRICS_TOKEN or RM_METRICS_TRUSTED_CIDR to enable it');
    return undefined;
  }
  for (const proxy of proxiesInTrustedNetworks(settings.access)) {
    log.warn(
      { proxy },
      'a trusted proxy is inside metrics_trusted_cidrs: if it does not set X-Forwarded-For, everybody behind it may scrape',
    );
  }
  const thread = new RenderThread({
    fleet,
    jobs: jobs.buffer,
    stats: stats.buffer,
    build: { version: packageVersion(), commit: packageCommit(), nodeVersion: process.version },
    exclude: settings.metricsExclude,
  });
  closers.push(() => thread.close());
  await thread.warmUp();
  const health = new LoopHealthMonitor();
  closers.push(() => health.close());
  const source = new SharedRender((encodings) => {
    counter.loopHealth(health.read());
    return thread.render(encodings);
  });
  closers.push(() => source.close());
  reloaders.push(({ token }) => {
    if (token !== undefined) gate.replaceToken(token, TOKEN_OVERLAP_MS);
  });
  return { gate, source, counter, requests, onScrape, ...reportTo(events) };
}

async function listenForMetrics(
  settings: Settings,
  scrape: ScrapeEndpointOptions | undefined,
  { counter, requests, closers, reloaders }: Shared,
): Promise<string> {
  const refused = () => counter.refusal('too_many_connections');
  const sockets = new SocketLimit(SocketLimit.allocate(), refused, MAX_METRICS_SOCKETS);
  const listener = new Listener(settings.tls, (app) => {
    sockets.watch(app);
    mountRoutes(app, requests, scrape);
  });
  closers.push(() => listener.close());
  reloaders.push((reload) => listener.renewCertificate(reload.tls));
  return listener.listen(settings.metricsListen as NonNullable<Settings['metricsListen']>);
}
