import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type AccessRules, compileGate } from '../access/gate.ts';
import { AgentEndpoint } from '../agents/endpoint.ts';
import type { Settings } from '../config/settings.ts';
import { JobHistogram } from '../metrics/job-histogram.ts';
import { RemoteRender } from '../scrape/remote-render.ts';
import { StoreClient, type StoreLink } from '../store/store-client.ts';
import { createApp } from './listener.ts';
import { mountRoutes } from './routes.ts';

/** What an extra agent loop is started with. */
export interface AgentLoopData {
  readonly store: StoreLink;
  readonly jobs: SharedArrayBuffer;
  readonly tls: Settings['tls'];
  /** The scrape endpoint, if it is on the agents' listener. */
  readonly scrape: { readonly access: AccessRules; readonly renders: MessagePort } | undefined;
}

/** From the loop to the main thread: the app to hand accepted sockets to, and that all is done. */
export type AgentLoopStatus = { readonly descriptor: unknown } | { readonly closed: true };

const data: AgentLoopData = workerData;
const store = new StoreClient(data.store);
const writer = JobHistogram.attach(data.jobs).writer();
const app = createApp(data.tls);
const agents = new AgentEndpoint({
  store,
  observeJob: (kind, status, durationMs) => writer.observeJob(kind, status, durationMs),
});
agents.mount(app);
const gate = data.scrape && compileGate(data.scrape.access);
const source = data.scrape && new RemoteRender(data.scrape.renders);
mountRoutes(app, gate && source && { gate, source });

parentPort?.once('message', async () => {
  await agents.drain();
  app.close();
  store.close();
  source?.close();
  tell({ closed: true });
});
await store.ready;
tell({ descriptor: app.getDescriptor() });

function tell(status: AgentLoopStatus): void {
  parentPort?.postMessage(status);
}
