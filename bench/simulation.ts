import { measuredConstants } from './simulation/constants.ts';
import { type Assumptions, type Fleet, simulate } from './simulation/model.ts';

/*
 * Estimates what large fleets need on several instances. It simulates the store threads of the instances in
 * the busiest hour, and the restart of one of them. What a batch, a poll, a host, an agent and a start
 * cost was measured on this machine: bench/results. Prints a Markdown table.
 */
const ASSUMED: Assumptions = {
  coresOfDatabase: 8,
  writesPerHostAndDay: 5,
  busiestHour: 1 / 6,
  reconnectSeconds: 10,
};
const FINISHED_JOBS_PER_HOST_AND_DAY = 2;
const DAYS_KEPT = 30;
const SIMULATED_SECONDS = 60;
/** What was tried with one agent loop: `npm run storm`. */
const AGENTS_PER_LOOP = 15_000;
/** Above it, something must be larger or there must be more instances. */
const LIMITS = {
  agentLoops: 8,
  busyStore: 0.5,
  scrapeSeconds: 10,
  memoryMb: 8_000,
  restartSeconds: 60,
};

const FLEETS: readonly Fleet[] = [100_000, 1_000_000].flatMap((hosts) =>
  [3, 10, 30].map((instances) => ({ hosts, instances })),
);

const constants = measuredConstants();
const estimates = FLEETS.map(estimate);
const columns = FLEETS.map(
  ({ hosts, instances }) => `${hosts.toLocaleString('en')} hosts, ${instances} instances`,
);
console.log(`| ${['', ...columns].join(' | ')} |\n|---|${columns.map(() => '---:|').join('')}`);
for (const title of Object.keys(estimates[0] ?? {})) {
  console.log(`| ${[title, ...estimates.map((cells) => cells[title])].join(' | ')} |`);
}
console.log(`
Assumptions: a database server with ${ASSUMED.coresOfDatabase} cores that are as fast as the one of the benchmarks. A host sends ${ASSUMED.writesPerHostAndDay} messages a day that are stored (two jobs that start and finish, and one \`repo.stats\`), and a sixth of them in the busiest hour. Agents of an instance that restarts connect to the others within ${ASSUMED.reconnectSeconds} s. Jobs are kept for ${DAYS_KEPT} days.

Not simulated: the handshakes of the agents. One agent loop is assumed for each ${AGENTS_PER_LOOP.toLocaleString('en')} agents, up to ${LIMITS.agentLoops} in an instance; \`npm run storm\` measured one loop.`);

function estimate(fleet: Fleet): Record<string, string> {
  const { hosts, instances } = fleet;
  const how = { seconds: SIMULATED_SECONDS, restart: false };
  const busy = simulate(fleet, ASSUMED, constants, how);
  const restart = simulate(fleet, ASSUMED, constants, { ...how, restart: true });
  const agents = hosts / instances;
  const c = constants;
  const memoryMb =
    c.baseMb + hosts * c.mbPerFollowedHost + agents * (c.mbPerShownHost + c.mbPerAgent);
  const jobs = hosts * FINISHED_JOBS_PER_HOST_AND_DAY * DAYS_KEPT;
  const diskGb = ((hosts * c.kibPerHost + jobs * c.kibPerJob) * 1_024) / 1e9;
  const scrapeSeconds = (agents * c.scrapeMsPerHost) / 1_000;
  const startSeconds = (c.startMs + hosts * c.startMsPerHost) / 1_000;
  const loops = Math.ceil(agents / AGENTS_PER_LOOP);
  const used: Record<string, number> = {
    'connections of an instance': agents / AGENTS_PER_LOOP / LIMITS.agentLoops,
    'CPU of the database': busy.busyCores / ASSUMED.coresOfDatabase,
    'store thread': busy.busyStore / LIMITS.busyStore,
    'memory of an instance': memoryMb / LIMITS.memoryMb,
    scrape: scrapeSeconds / LIMITS.scrapeSeconds,
    'start of an instance': startSeconds / LIMITS.restartSeconds,
    'reconnection after a restart': restart.allStoredAfterSeconds / LIMITS.restartSeconds,
  };
  const [bottleneck = '', share = 0] = Object.entries(used).sort(([, a], [, b]) => b - a)[0] ?? [];
  return {
    'agents of an instance': `${Math.round(agents).toLocaleString('en')} (${loops} ${loops === 1 ? 'loop' : 'loops'})`,
    'messages stored/s': busy.writesPerSecond.toFixed(0),
    'commits/s': busy.commitsPerSecond.toFixed(0),
    'MB/s to the database': busy.mbPerSecond.toFixed(2),
    'busy cores of the database': busy.busyCores.toFixed(2),
    'busy part of a store thread': `${(busy.busyStore * 100).toFixed(0)} %`,
    'acknowledgement p99': `${busy.p99Ms} ms`,
    'a restart: all stored after': `${restart.allStoredAfterSeconds.toFixed(0)} s`,
    'p99 meanwhile': `${restart.p99Ms} ms`,
    database: `${diskGb.toFixed(1)} GB`,
    'memory of an instance': `${Math.round(memoryMb).toLocaleString('en')} MB`,
    'scrape of an instance': `${(scrapeSeconds * 1_000).toFixed(0)} ms`,
    'start of an instance': `${startSeconds.toFixed(0)} s`,
    'closest to its limit': `${bottleneck} (${(share * 100).toFixed(0)} %)`,
  };
}
