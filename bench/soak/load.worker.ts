import { parentPort, workerData } from 'node:worker_threads';
import { Fleet } from './fleet.ts';
import { type Acknowledged, Ledger } from './ledger.ts';
import type { EnrolledHost } from './server.ts';

/*
 * The agents run in their own thread, so that their work does not delay the scrapes whose time is
 * measured.
 */

export interface LoadData {
  readonly url: string;
  readonly rate: number;
}

/** The commands for this thread, with request and answer. It answers when the command is done. */
export interface Orders {
  add: { request: readonly EnrolledHost[]; answer: undefined };
  /** The host will be removed. The answer comes when all of its messages are answered. */
  retire: { request: string; answer: undefined };
  removed: { request: string; answer: undefined };
  storm: { request: undefined; answer: undefined };
  /** Stops all reports. The answer comes when all are acknowledged, or after a time limit. */
  settle: { request: undefined; answer: Settled };
  /** The server will end. The answer comes when it has closed the connections of all agents. */
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
  /** Behaviour that a correct server would never show, and how often it occurred. */
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
  reportUnexpected: (what) => surprises.set(what, (surprises.get(what) ?? 0) + 1),
});

setInterval(tellState, STATE_MS);
parentPort?.on('message', async ({ number, ...order }: Order & { number: number }) => {
  const answer = await obey(order as Order);
  // The state is sent first, because the receiver of an answer may look at the state.
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
