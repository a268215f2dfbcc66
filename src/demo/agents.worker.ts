import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { Activity } from './activity.ts';
import type { EnrolledHost } from './enrolment.ts';
import { SimulatedHost } from './simulated-host.ts';

/** What the agents' thread is started with. */
export interface AgentsThreadData {
  readonly url: string;
  readonly hosts: readonly EnrolledHost[];
  readonly activity: SharedArrayBuffer;
}

/** Connects come a few at a time, as those of a fleet do. */
const CONNECTS_AT_A_TIME = 25;
const CONNECT_PAUSE_MS = 50;

const { url, hosts, activity: buffer }: AgentsThreadData = workerData;
const activity = new Activity(buffer);

for (const [index, { plan, token }] of hosts.entries()) {
  const host = new SimulatedHost({ plan, token, url, activity, pauseMs: pauseMs(hosts.length) });
  void host.run();
  if (index % CONNECTS_AT_A_TIME === CONNECTS_AT_A_TIME - 1) await sleep(CONNECT_PAUSE_MS);
}

/** A larger fleet has more to show, but not in proportion: one machine carries all of it. */
function pauseMs(fleetSize: number): number {
  return Math.max(5, Math.sqrt(fleetSize)) * 1_000;
}
