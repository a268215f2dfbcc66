import { setTimeout } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type AccessRules, compileGate, TOKEN_OVERLAP_MS } from '../access/gate.ts';
import { Networks } from '../access/networks.ts';
import type { Settings } from '../config/settings.ts';
import { messageOf } from '../errors.ts';
import { EventLog } from '../platform/event-log.ts';
import { createLog } from '../platform/log.ts';
import type { TemplatedApp } from '../platform/uws.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { ServerStats } from '../shared/server-stats.ts';
import { AgentEndpoint } from './agents/endpoint.ts';
import { RemoteQueries } from './api/remote-queries.ts';
import { reportApiTo } from './api-reports.ts';
import { StoreClient, type StoreLink } from './doors/store-client.ts';
import { RequestBudget } from './http/request-budget.ts';
import { SocketLimit } from './http/socket-limit.ts';
import { createApp } from './listener.ts';
import { mountRoutes } from './routes.ts';
import { RemoteRender } from './scrape/remote-render.ts';
import { reportTo } from './scrape-reports.ts';

/** The `workerData` of an extra agent loop. */
export interface AgentLoopData {
  readonly store: StoreLink;
  readonly jobs: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly logLevel: string;
  readonly openSockets: SharedArrayBuffer;
  readonly tls: Settings['tls'];
  readonly access: AccessRules;
  /** Port to the loop that renders, if the scrape endpoint is on the agents' listener. */
  readonly renders: MessagePort | undefined;
  /** Port to the main thread, which passes requests of the API on; set if `renders` is. */
  readonly queries: MessagePort | undefined;
}

/** A message from the main thread to the loop. */
export type AgentLoopControl =
  /** `limitMs` limits the wait for the store. Undefined means the default of `AgentEndpoint.drain`. */
  | { readonly close: { readonly limitMs: number | undefined } }
  | { readonly token: string }
  | { readonly tls: Settings['tls'] };

/**
 * A message from the loop to the main thread. `descriptor` names the app that gets the accepted sockets
 * from now on. `closed` means that the loop has closed everything.
 */
export type AgentLoopStatus =
  | { readonly descriptor: object }
  | { readonly closed: true }
  /** The error by which it died. The loop has closed its sockets. */
  | { readonly died: { readonly message: string; readonly stack: string | undefined } };

/** How long to wait for sockets that the main thread has handed over and that have not arrived. */
const HANDOVER_MS = 50;

const data: AgentLoopData = workerData;
const stats = ServerStats.attach(data.stats).writer();
const log = createLog(data.logLevel);
const events = new EventLog(log, data.events);
const store = new StoreClient(data.store, stats);
const writer = JobHistogram.attach(data.jobs).writer();
const requests = new RequestBudget(() => stats.refusal('too_many_requests'));
const agents = new AgentEndpoint({
  store,
  stats,
  events,
  requests,
  sockets: new SocketLimit(data.openSockets, () => stats.refusal('too_many_connections')),
  proxies: new Networks(data.access.trustedProxies ?? [], 'trustedProxies'),
  observeJob: (kind, status, durationMs) => writer.observeJob(kind, status, durationMs),
});
const gate = data.renders && compileGate(data.access);
const source = data.renders && new RemoteRender(data.renders);
const queries = data.queries && new RemoteQueries(data.queries);
const gated = gate &&
  source &&
  queries && {
    scrape: { gate, source, counter: stats, requests, ...reportTo(events) },
    api: { gate, source: queries, counter: stats, requests, ...reportApiTo(events) },
  };
/** One app per certificate. The last one gets new sockets. The sockets of earlier ones stay open. */
const apps: TemplatedApp[] = [];

parentPort?.on('message', (message: AgentLoopControl) => {
  if ('close' in message) void close(message.close.limitMs);
  else if ('token' in message) gate?.replaceToken(message.token, TOKEN_OVERLAP_MS);
  else renewCertificate(message.tls);
});
// A thread that ends with open sockets crashes the process before the cause can be logged.
process.on('uncaughtException', (error: unknown) => {
  for (const app of apps) app.close();
  const stack = error instanceof Error ? error.stack : undefined;
  tell({ died: { message: messageOf(error), stack } });
  parentPort?.close();
});
await store.ready;
serve(data.tls);

/**
 * Serves with the new certificate. The main thread has checked the files, but they may have changed
 * since. If they are invalid now, the current app continues.
 */
function renewCertificate(tls: Settings['tls']): void {
  try {
    serve(tls);
  } catch (error) {
    log.error(
      { err: error },
      'an agent loop could not load the new certificate and keeps the old one',
    );
  }
}

function serve(tls: Settings['tls']): void {
  const app = createApp(tls);
  agents.mount(app);
  mountRoutes(app, requests, gated);
  apps.push(app);
  tell({ descriptor: app.getDescriptor() });
}

async function close(limitMs: number | undefined): Promise<void> {
  await setTimeout(HANDOVER_MS);
  await agents.drain(limitMs);
  for (const app of apps) app.close();
  store.close();
  source?.close();
  queries?.close();
  tell({ closed: true });
  // Nothing else keeps the thread alive, so it ends.
  parentPort?.close();
}

function tell(status: AgentLoopStatus): void {
  parentPort?.postMessage(status);
}
