import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MAX_AGENT_THREADS } from '../src/config/settings.ts';
import { Scrapes } from './soak/scrapes.ts';
import { SoakServer } from './soak/server.ts';
import type { CrowdOrder, CrowdReport } from './storm/crowd.ts';
import { commandLine, wholeNumber } from './support/command-line.ts';
import { summarise } from './support/samples.ts';

/*
 * Measures what happens when all agents connect at once, as after a restart: how long that takes, how
 * long scrapes take in the meantime, how much memory is needed, and whether SIGTERM closes every
 * connection properly.
 */
const USAGE = 'npm run storm -- [--agents N] [--threads N]   (default: 15000 agents, 1 loop)';
const CROWD = fileURLToPath(new URL('./storm/crowd.ts', import.meta.url));
const MAX_AGENTS = 18_000; // many systems allow 20,000 open files per process
const SCRAPE_PAUSE_MS = 50;
const RESTARTING = '1012';

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
const { agents, threads } = commandLine(USAGE, parse);

const server = await SoakServer.start(threads);
const names = Array.from({ length: agents }, (_, n) => `db-fra1-${n}.backup.example.net`);
const tokens = (await server.addHosts(names)).map(({ token }) => token);
const scrapes = new Scrapes(server.url);
for (const encoding of ['gzip', 'identity'] as const) await scrapes.scrape(encoding);
const before = await server.residentBytes();
scrapes.ms.length = 0;

const crowd = fork(CROWD);
const reports: CrowdReport[] = [];
crowd.on('message', (report: CrowdReport) => reports.push(report));
const order: CrowdOrder = { url: server.agentUrl, tokens };
crowd.send(order);
while (reports.length === 0) {
  await scrapes.scrape('gzip');
  await sleep(SCRAPE_PAUSE_MS);
}
const during = summarise(scrapes.ms);
const slowest = Math.max(...scrapes.ms);
for (let n = 0; n < 3; n++) await scrapes.scrape('gzip');
const body = (await scrapes.scrape('identity')) ?? '';
const after = await server.residentBytes();
scrapes.close();
const exit = await server.stop();
for (let waited = 0; reports.length < 2 && waited < 100; waited++) await sleep(100);
crowd.disconnect();

const [welcome, farewell] = reports;
const welcomedMs = welcome && 'welcomedMs' in welcome ? welcome.welcomedMs : Number.NaN;
const closeCodes = farewell && 'closeCodes' in farewell ? farewell.closeCodes : {};
console.log(`storm: ${agents} agents, ${threads} agent ${threads === 1 ? 'loop' : 'loops'}
  all welcomed after            ${(welcomedMs / 1000).toFixed(2)} s
  scrapes meanwhile             ${during.count}, median ${during.median.toFixed(0)} ms, p99 ${during.p99.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms
  shown online at the end       ${/^rm_hosts_online (\d+)$/m.exec(body)?.[1]}
  memory for each agent         ${((after - before) / agents / 1024).toFixed(2)} KiB, with its rows in both bodies, after a garbage collection
  SIGTERM                       exit code ${exit.by} after ${(exit.ms / 1000).toFixed(2)} s
  close codes of the agents     ${JSON.stringify(closeCodes)}`);
const isGood = slowest < 1_000 && exit.by === 0 && closeCodes[RESTARTING] === agents;
console.log(isGood ? 'PASS' : 'FAIL');
process.exit(isGood ? 0 : 1);

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      agents: { type: 'string', default: '15000' },
      threads: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    agents: wholeNumber('--agents', values.agents, MAX_AGENTS),
    threads: wholeNumber('--threads', values.threads, MAX_AGENT_THREADS),
  };
}
