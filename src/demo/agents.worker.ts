import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { Activity } from './activity.ts';
import type { EnrolledHost } from './enrolment.ts';
import { SimulatedHost } from './simulated-host.ts';

/** Worker data of the agents' thread. */
export interface AgentsThreadData {
  readonly url: string;
  readonly hosts: readonly EnrolledHost[];
  readonly activity: SharedArrayBuffer;
}

/** Agents connect a few at a time, like those of a real fleet. */
const CONNECTS_PER_STEP = 25;
const CONNECT_PAUSE_MS = 50;

const { url, hosts, activity: buffer }: AgentsThreadData = workerData;
const activity = new Activity(buffer);

for (const [index, { plan, token }] of hosts.entries()) {
  const host = new SimulatedHost({ plan, token, url, activity, pauseMs: pauseMs(hosts.length) });
  void host.run();
  if (index % CONNECTS_PER_STEP === CONNECTS_PER_STEP - 1) await sleep(CONNECT_PAUSE_MS);
}

/**
 * The average pause between two jobs of a host. It grows with the square root of the fleet size,
 * because one machine has to do the work of all agents.
 */
function pauseMs(fleetSize: number): number {
  return Math.max(5, Math.sqrt(fleetSize)) * 1_000;
}
