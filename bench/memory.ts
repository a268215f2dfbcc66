import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type GoPeers, goInput, withGoPeers } from './peers/go.ts';
import type { ServerKind } from './servers/serve.ts';
import { AgentSocket } from './support/agent-socket.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { withCompiled } from './support/compiled.ts';
import { benchFleet } from './support/fleet.ts';
import { jobTable } from './support/jobs.ts';
import { type Role, type Row, rowsOf } from './support/result.ts';
import { inTurn } from './support/rotation.ts';
import { type Encoding, Scraper } from './support/scraper.ts';
import { ServerProcess } from './support/server-process.ts';

const SCRAPES = 3;
const SETTLED_MS = 500;
const SOCKETS = 10_000;
const AT_A_TIME = 100;

export const memory: BenchDefinition = {
  name: 'memory',
  question: 'How much memory does a process need for a fleet, and how much for an idle agent?',
  run: (options) =>
    withGoPeers(options.peers, (go, directory) =>
      withCompiled(async (serve) => {
        const rows: Row[] = [];
        for (const hosts of fleetSizes(options, [1_000, 10_000, 100_000])) {
          rows.push(...(await ofFleets(hosts, go, serve, options)));
        }
        rows.push(...(await ofSockets(directory, serve, options)));
        return {
          rows,
          notes: [
            `Resident memory (VmRSS) after ${SCRAPES} scrapes with gzip, which Prometheus requests. Ours, also plain: after the same number of plain scrapes, too. Each round starts new processes.`,
            'Node runs compiled JavaScript here, as in an installed package. Garbage from loading the fleet is collected first, in Node and in Go.',
            'An idle agent: the growth of the process, divided by the number of sockets. It includes the row of the host in the fleet table and in both bodies. Garbage of the main thread is collected before and after.',
            ...go.notes,
          ],
        };
      }),
    ),
};

interface Contestant {
  readonly name: string;
  readonly role: Role;
  readonly start: () => Promise<ServerProcess>;
  readonly scraped: readonly Encoding[];
}

async function ofFleets(
  hosts: number,
  go: GoPeers,
  serve: string,
  { quick, peers, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`${hosts} hosts`);
  const node = (
    name: string,
    role: Role,
    kind: ServerKind,
    scraped: readonly Encoding[] = ['gzip'],
  ): Contestant => ({
    name,
    role,
    start: () => ServerProcess.start({ kind, hosts }, serve),
    scraped,
  });
  const contestants = [
    node('empty server', 'floor', 'empty', []),
    node('ours', 'own', 'ours'),
    node('ours, also plain', 'own', 'ours', ['identity', 'gzip']),
    node('ours, without the new families', 'own', 'ours, fewer families'),
    ...(peers ? [node('prom-client', 'peer', 'prom-client')] : []),
  ];
  for (const { name, file } of go.peers) {
    const input = goInput(benchFleet(hosts), jobTable());
    const start = () => ServerProcess.startProgram(file, input);
    contestants.push({ name, role: 'peer', start, scraped: ['gzip'] });
  }
  const scenario = { hosts };
  return measure('resident memory', 'MB', scenario, contestants, quick, progress, async (one) => {
    const server = await one.start();
    try {
      for (const encoding of one.scraped) await scrapeAFewTimes(server.port, encoding);
      await setTimeout(SETTLED_MS);
      return residentBytes(server.pid) / 1e6;
    } finally {
      await server.stop();
    }
  });
}

async function ofSockets(
  directory: string,
  serve: string,
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  // The same number in a quick run: the memory that a process allocates only once would dominate if
  // there were few sockets.
  const sockets = SOCKETS;
  progress.scenario(`${sockets} sockets`);
  let databases = 0;
  const node = (
    name: string,
    role: Role,
    kind: ServerKind,
    scraped: readonly Encoding[],
  ): Contestant => ({
    name,
    role,
    start: () => {
      const dataDir = join(directory, `fleet-${databases++}`);
      return ServerProcess.start({ kind, hosts: sockets, dataDir }, serve);
    },
    scraped,
  });
  const contestants = [
    node('empty server', 'floor', 'empty', []),
    node('ours, control plane', 'own', 'control plane', ['gzip', 'identity']),
  ];
  const scenario = { sockets };
  return measure('an idle agent', 'KiB', scenario, contestants, quick, progress, async (one) => {
    const server = await one.start();
    const agents: AgentSocket[] = [];
    try {
      if (one.scraped.length > 0) await scrapeBoth(server.port);
      await server.tell('collect');
      await setTimeout(SETTLED_MS);
      const before = residentBytes(server.pid);
      while (agents.length < sockets) {
        const tokens = Array.from(
          { length: AT_A_TIME },
          (_, n) => server.tokens[agents.length + n],
        );
        const opened = await Promise.all(
          tokens.map((token) => AgentSocket.open(server.port, token)),
        );
        await Promise.all(opened.map((agent) => agent.greet()));
        agents.push(...opened);
      }
      if (one.scraped.length > 0) await scrapeBoth(server.port);
      await server.tell('collect');
      await setTimeout(SETTLED_MS);
      return (residentBytes(server.pid) - before) / agents.length / 1024;
    } finally {
      for (const agent of agents) agent.close();
      await server.stop();
    }
  });
}

async function measure(
  name: string,
  unit: 'MB' | 'KiB',
  scenario: Row['scenario'],
  contestants: readonly Contestant[],
  quick: boolean,
  progress: BenchOptions['progress'],
  take: (contestant: Contestant) => Promise<number>,
): Promise<Row[]> {
  const records = contestants.map((contestant) => ({ contestant, rounds: [] as number[][] }));
  await inTurn(records, quick ? 1 : 3, progress, async ({ contestant, rounds }, round) => {
    // Each process is new, so it needs no warm-up.
    if (round >= 0) rounds.push([await take(contestant)]);
  });
  return rowsOf(
    { measure: name, unit, scenario },
    records.map(({ contestant: { name, role }, rounds }) => ({ contestant: name, role, rounds })),
  );
}

async function scrapeBoth(port: number): Promise<void> {
  for (const encoding of ['gzip', 'identity'] as const) await scrapeAFewTimes(port, encoding);
}

async function scrapeAFewTimes(port: number, encoding: Encoding): Promise<void> {
  const scraper = await Scraper.open(port, encoding);
  for (let n = 0; n < SCRAPES; n++) await scraper.scrape();
  scraper.close();
}

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`process ${pid} reports no VmRSS`);
  return Number(kib) * 1024;
}
