import {
  compileGate,
  type Gate,
  proxiesInTrustedNetworks,
  TOKEN_OVERLAP_MS,
} from '../access/gate.ts';
import { Networks } from '../access/networks.ts';
import { applicable, type Reload } from '../config/reload.ts';
import type { Settings } from '../config/settings.ts';
import type { RmError } from '../errors.ts';
import { AgentLoops } from '../loop/agent-loops.ts';
import { AgentEndpoint } from '../loop/agents/endpoint.ts';
import { reportApiTo } from '../loop/api-reports.ts';
import { QueryThread } from '../loop/doors/query-thread.ts';
import { RenderThread } from '../loop/doors/render-thread.ts';
import { Store } from '../loop/doors/store.ts';
import type { StoreClient } from '../loop/doors/store-client.ts';
import { RequestBudget } from '../loop/http/request-budget.ts';
import { MAX_METRICS_SOCKETS, SocketLimit } from '../loop/http/socket-limit.ts';
import { createApp, Listener } from '../loop/listener.ts';
import { LoopHealthMonitor } from '../loop/loop-health.ts';
import { type GatedRoutes, mountRoutes } from '../loop/routes.ts';
import { SharedRender } from '../loop/scrape/shared-render.ts';
import { reportTo } from '../loop/scrape-reports.ts';
import { packageCommit, packageVersion } from '../platform/build-info.ts';
import { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/log.ts';
import { uws } from '../platform/uws.ts';
import { allocateFleetBuffer } from '../shared/fleet-layout.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { ServerStats, type StatsWriter } from '../shared/server-stats.ts';

export interface ControlPlaneOptions {
  readonly settings: Settings;
  readonly log: Logger;
  /** Called when a thread dies that the control plane cannot work without. */
  readonly onDeath: (error: RmError) => void;
  /**
   * Called with the size in bytes of each body that the main thread sent. Not called for bodies that
   * extra agent loops sent.
   */
  readonly onScrape?: (bytes: number) => void;
}

export interface ControlPlane {
  /** URL to which agents connect: `http://HOST:PORT`, or `https` with TLS. */
  readonly url: string;
  /** URL of the separate listener for scrapes, if there is one. */
  readonly metricsUrl: string | undefined;
  readonly store: StoreClient;
  /** Applies a new token and a new certificate. Existing connections continue. */
  reload(reload: Reload): void;
  /** Stores and acknowledges the accepted messages, closes the agents' connections, and stops all parts. */
  close(): Promise<void>;
  /**
   * Closes the sockets without waiting for the store. To be called before the process exits after a
   * fatal error: exiting with open sockets in other threads would crash it.
   */
  abandon(): Promise<void>;
}

/** Closes one part. Closers are called in the reverse order of the starts. */
type Closer = () => void | Promise<void>;

/** State that the parts share. */
interface CommonParts {
  readonly jobs: JobHistogram;
  readonly fleet: SharedArrayBuffer;
  /** Undefined if neither a token nor a network is configured. */
  readonly gate: Gate | undefined;
  /** The hosts that only the API shows; undefined if there is no gate. */
  readonly others: SharedArrayBuffer | undefined;
  readonly stats: ServerStats;
  /** Counters of the main thread. */
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
 * @throws RmError `listen_failed`, `no_uws_build`, `data_dir_locked`, `database_failed`, `database_too_new`,
 * `database_too_old`
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { settings, log, onDeath } = options;
  uws(); // If no build can be loaded, this throws before anything has started.
  const gate = compileGate(settings.access);
  const stats = ServerStats.create();
  const counter = stats.writer();
  const eventLimits = EventLog.allocate();
  const openSockets = SocketLimit.allocate();
  const common: CommonParts = {
    jobs: JobHistogram.create(),
    gate,
    fleet: allocateFleetBuffer(),
    others: gate && allocateFleetBuffer(),
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
  const { closers, reloaders, abandoners } = common;
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const store = await Store.open({
      dataDir: settings.dataDir,
      databaseUrl: settings.databaseUrl,
      missing: 'create',
      serving: {
        fleet: common.fleet,
        others: common.others,
        exclude: settings.metricsExclude,
        shard: settings.metricsShard,
        stats: stats.buffer,
        events: eventLimits,
        logLevel: settings.logLevel,
      },
    });
    store.onDeath(onDeath);
    closers.push(() => store.close());
    const client = store.connect(common.counter);
    await client.ready;

    const gated = await startGated(options, common);
    const gatedOnAgentListener = settings.metricsListen === undefined ? gated : undefined;
    const listener = await serveAgents(options, common, store, client, gatedOnAgentListener);
    const metricsUrl = settings.metricsListen && (await listenForMetrics(settings, gated, common));
    const url = await listener.listen(settings.listen);
    logStart(options, store, { url, metricsUrl: gated && (metricsUrl ?? url) });
    // The last closer runs first, so no connection is accepted while the other parts close.
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
        const changes = applicable(reload, settings);
        // uWebSockets.js may reject a certificate that Node accepts. This throws before any part has
        // changed.
        if (changes.tls) createApp(changes.tls).close();
        for (const reloader of reloaders) reloader(changes);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function logStart(
  { settings, log }: ControlPlaneOptions,
  { database }: Store,
  { url, metricsUrl }: { url: string; metricsUrl: string | undefined },
): void {
  log.info(
    {
      version: packageVersion(),
      node: process.version,
      database: database.path,
      ...(database.isNew ? { new_database: true } : {}),
      hosts: database.hosts,
      agents: url,
      metrics: metricsUrl ? `${metricsUrl}/metrics` : 'disabled',
      agent_threads: settings.agentThreads,
    },
    'started',
  );
}

/**
 * Starts the agents' endpoint, in this thread or in further agent loops.
 * @returns the listener, which does not listen yet
 */
async function serveAgents(
  { settings, onDeath }: ControlPlaneOptions,
  common: CommonParts,
  store: Store,
  client: StoreClient,
  gated: GatedRoutes | undefined,
): Promise<Listener> {
  const { jobs, stats, counter, requests, sockets, events, eventLimits, closers, reloaders } =
    common;
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
    let listener: Listener | undefined;
    // Before the listener is created, because that fails if uWebSockets.js rejects the certificate.
    closers.push(
      () => listener?.close(),
      () => agents.drain(),
    );
    listener = new Listener(tls, (app) => {
      agents.mount(app);
      mountRoutes(app, requests, gated);
    });
    reloaders.push((reload) => listener?.renewCertificate(reload.tls));
    return listener;
  }
  const listener = new Listener(tls, undefined);
  closers.push(() => listener.close());
  const loops = await AgentLoops.start(
    {
      count: agentThreads,
      openSockets: common.openSockets,
      store,
      jobs: jobs.buffer,
      stats: stats.buffer,
      events: eventLimits,
      logLevel,
      tls,
      access,
      renders: gated?.scrape.source,
      queries: gated?.api.source,
      onDeath,
    },
    listener,
  );
  closers.push(() => loops.drain());
  common.abandoners.push(() => loops.drain(0));
  reloaders.push((reload) => loops.reload(reload));
  return listener;
}

/**
 * Starts the render thread. The query thread starts with the first request of the API.
 * @returns undefined if neither a token nor a network is configured, because these routes do not exist then
 */
async function startGated(
  { settings, log, onScrape }: ControlPlaneOptions,
  { jobs, gate, fleet, others, stats, counter, requests, events, closers, reloaders }: CommonParts,
): Promise<GatedRoutes | undefined> {
  if (gate === undefined || others === undefined) {
    log.warn('/metrics is disabled; set RM_METRICS_TOKEN or RM_METRICS_TRUSTED_CIDR to enable it');
    return undefined;
  }
  for (const proxy of proxiesInTrustedNetworks(settings.access)) {
    log.warn(
      { proxy },
      'a trusted proxy is inside metrics_trusted_cidrs: if it does not set X-Forwarded-For, everyone behind it can scrape',
    );
  }
  const thread = new RenderThread({
    fleet,
    jobs: jobs.buffer,
    stats: stats.buffer,
    build: {
      version: packageVersion(),
      commit: packageCommit(),
      nodeVersion: process.version,
      shard: settings.metricsShard,
    },
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
  const queries = new QueryThread({
    tables: [others, fleet],
    dataDir: settings.dataDir,
    databaseUrl: settings.databaseUrl,
    version: packageVersion(),
    jobs: jobs.buffer,
  });
  closers.push(() => queries.close());
  return {
    scrape: { gate, source, counter, requests, onScrape, ...reportTo(events) },
    api: { gate, source: queries, counter, requests, ...reportApiTo(events) },
  };
}

async function listenForMetrics(
  settings: Settings,
  gated: GatedRoutes | undefined,
  { counter, requests, closers, reloaders }: CommonParts,
): Promise<string> {
  const onRefusal = () => counter.refusal('too_many_connections');
  const sockets = new SocketLimit(SocketLimit.allocate(), onRefusal, MAX_METRICS_SOCKETS);
  const listener = new Listener(settings.tls, (app) => {
    sockets.watch(app);
    mountRoutes(app, requests, gated);
  });
  closers.push(() => listener.close());
  reloaders.push((reload) => listener.renewCertificate(reload.tls));
  return listener.listen(settings.metricsListen as NonNullable<Settings['metricsListen']>);
}
