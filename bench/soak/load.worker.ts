import { parentPort, workerData } from 'node:worker_threads';
import { Fleet } from './fleet.ts';
import { type Acknowledged, Ledger } from './ledger.ts';
import type { EnrolledHost } from './server.ts';

/*
 * The agents, in a thread of their own: what they do must not keep scrapes waiting, whose time is measured.
 */

export interface LoadData {
  readonly url: string;
  readonly rate: number;
}

/** What this thread can be told, and what it answers once that is done. */
export interface Orders {
  add: { request: readonly EnrolledHost[]; answer: undefined };
  /** A host is to be removed: the answer comes when nothing of it is in flight. */
  retire: { request: string; answer: undefined };
  removed: { request: string; answer: undefined };
  storm: { request: undefined; answer: undefined };
  /** No new reports; the answer comes when all are acknowledged, or after a while. */
  settle: { request: undefined; answer: Settled };
  /** The server is to end: the answer comes when it has sent all agents away. */
  farewell: { request: undefined; answer: undefined };
}

export type Order = {
  [K in keyof Orders]: { order: K; request: Orders[K]['request'] };
}[keyof Orders];

export interface Settled {
  readonly acknowledged: Acknowledged;
  readonly unanswered: number;
}

export interface LoadState {
  readonly online: number;
  readonly acknowledged: number;
  /** What a server that does all right would never do, and how often it did. */
  readonly surprises: ReadonlyMap<string, number>;
}

export type LoadMessage =
  | { readonly answerTo: number; readonly answer: unknown }
  | { readonly state: LoadState };

const STATE_MS = 200;
const SETTLE_LIMIT_MS = 60_000;

const { url, rate }: LoadData = workerData;
const ledger = new Ledger();
const surprises = new Map<string, number>();
const fleet = new Fleet({
  url,
  rate,
  ledger,
  surprised: (what) => surprises.set(what, (surprises.get(what) ?? 0) + 1),
});

setInterval(tellState, STATE_MS);
parentPort?.on('message', async ({ number, ...order }: Order & { number: number }) => {
  const answer = await obey(order as Order);
  // What an answer is about is in the state that comes before it.
  tellState();
  tell({ answerTo: number, answer });
});

async function obey(order: Order): Promise<unknown> {
  switch (order.order) {
    case 'add':
      return fleet.add(order.request);
    case 'retire':
      return fleet.retire(order.request);
    case 'removed':
      return fleet.removed(order.request);
    case 'storm':
      return fleet.storm();
    case 'settle':
      return settle();
    case 'farewell':
      await fleet.farewell();
      return fleet.close();
  }
}

async function settle(): Promise<Settled> {
  const unanswered = await fleet.settle(AbortSignal.timeout(SETTLE_LIMIT_MS));
  const { hosts, removed } = ledger;
  return { acknowledged: { hosts, removed }, unanswered };
}

function tellState(): void {
  tell({ state: { online: fleet.online, acknowledged: ledger.total, surprises } });
}

function tell(message: LoadMessage): void {
  parentPort?.postMessage(message);
}
