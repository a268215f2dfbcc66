import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { LoopReport } from './servers/loop-watch.ts';
import { Pings } from './stall/pings.ts';
import type { Scrapes } from './stall/scrapes.worker.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { CHANGED_IN_15_S } from './support/fleet.ts';
import { type Role, type Row, rowsOf, type Unit } from './support/result.ts';
import { inTurn } from './support/rotation.ts';
import { quantile } from './support/samples.ts';
import { type Encoding, Scraper } from './support/scraper.ts';
import { ServerProcess } from './support/server-process.ts';

const ENCODINGS: readonly Encoding[] = ['identity', 'gzip'];
const SIZES = [10_000, 100_000] as const;
const CHANGE_EVERY_MS = 100;

export const stall: BenchDefinition = {
  name: 'stall',
  question: 'How long do scrapes delay the agents?',
  async run(options) {
    const scraping = new Worker(new URL('./stall/scrapes.worker.ts', import.meta.url));
    try {
      const rows: Row[] = [];
      for (const hosts of fleetSizes(options, options.quick ? [1_000] : SIZES)) {
        rows.push(...(await ofSize(hosts, scraping, options)));
      }
      return {
        rows,
        notes: [
          'A turn is one iteration of the event loop, in wall-clock time. Own work is the turn minus the time in which the kernel ran another thread on the core (run_delay in /proc/PID/schedstat): the server, the render thread, the scraper and the load share two cores here. Callback times are own work. The round trips were measured separately from the turns, because watching the turns keeps the loop awake.',
          'uWS, same bytes: a server that renders nothing and sends the whole body at once. A delay that its round trips share with ours is the cost of a scraper on the same two cores.',
          `The scraper pauses for 250 ms between two scrapes. ${CHANGED_IN_15_S} % of our hosts change every ${CHANGE_EVERY_MS} ms, also in the idle case. A real Prometheus and a real fleet cause far less load.`,
        ],
      };
    } finally {
      await scraping.terminate();
    }
  },
};

interface Contestant {
  readonly name: string;
  readonly role: Role;
  readonly server: ServerProcess;
  readonly scraped: boolean;
}

/** The measures of one round. */
const MEASURES = {
  'turn of the loop, p99.9': 'ms',
  'turn of the loop, longest': 'ms',
  'turns over 1 ms, a second': 'times',
  'turns over 1 ms of own work, a second': 'times',
  'spent in turns over 1 ms, a second': 'ms',
  'longest callback of the endpoint': 'ms',
  'WebSocket round trip': 'ms',
  'WebSocket round trip, p99.9': 'ms',
} as const satisfies Record<string, Unit>;

type Measure = keyof typeof MEASURES;

async function ofSize(
  hosts: number,
  scraping: Worker,
  { quick, peers, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`${hosts} hosts, loading`);
  const ours = await ServerProcess.start({ kind: 'ours', hosts, watched: true });
  const fromMemory = await serverOfBodies(ours, hosts);
  const contestants: Contestant[] = [
    { name: 'idle', role: 'floor', server: ours, scraped: false },
    { name: 'ours', role: 'own', server: ours, scraped: true },
    { name: 'uWS, same bytes', role: 'floor', server: fromMemory, scraped: true },
  ];
  if (peers) {
    const kind = 'prom-client on the loop';
    const server = await ServerProcess.start({ kind, hosts });
    contestants.push({ name: kind, role: 'peer', server, scraped: true });
  }
  const ms = quick ? 200 : 3_000;
  try {
    const rows: Row[] = [];
    for (const encoding of ENCODINGS) {
      progress.scenario(`${hosts} hosts, ${encoding}`);
      const found = contestants.map((contestant) => ({
        contestant,
        rounds: [] as Readonly<Record<Measure, number[]>>[],
      }));
      await inTurn(found, quick ? 2 : 5, progress, async ({ contestant, rounds }, round) => {
        const { server, scraped } = contestant;
        const busy = () =>
          whileHostsChange(server, () =>
            scraped ? scrape(scraping, { port: server.port, encoding, ms }) : setTimeout(ms),
          );
        const turns = await turnsDuring(server, busy);
        const trips = await tripsDuring(server, ms, busy);
        if (round < 0) return;
        const worst = quantile(Float64Array.from(trips).sort(), 0.999);
        rounds.push({
          ...turns,
          'WebSocket round trip': trips,
          'WebSocket round trip, p99.9': [worst],
        });
      });
      for (const [measure, unit] of Object.entries(MEASURES)) {
        rows.push(
          ...rowsOf(
            { measure, unit, scenario: { hosts, encoding } },
            found
              .map(({ contestant: { name, role }, rounds }) => ({
                contestant: name,
                role,
                rounds: rounds.map((round) => round[measure as Measure]),
              }))
              // Only our endpoint has callbacks that can be timed.
              .filter(({ rounds }) => rounds.flat().length > 0),
          ),
        );
      }
    }
    return rows;
  } finally {
    const servers = new Set(contestants.map(({ server }) => server));
    await Promise.all([...servers].map((server) => server.stop()));
  }
}

/** Starts a server of the bodies that `ours` shows now. */
async function serverOfBodies(ours: ServerProcess, hosts: number): Promise<ServerProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    const bodies = { identity: join(directory, 'identity'), gzip: join(directory, 'gzip') };
    for (const encoding of ENCODINGS) {
      const scraper = await Scraper.open(ours.port, encoding);
      writeFileSync(bodies[encoding], await scraper.body());
      scraper.close();
    }
    return await ServerProcess.start({ kind: 'floor', hosts, bodies });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function turnsDuring(server: ServerProcess, busy: () => Promise<void>) {
  await server.tell('watch');
  const startedAt = performance.now();
  await busy();
  const seconds = (performance.now() - startedAt) / 1000;
  const { turns, longOwn, longestCallback } = (await server.tell('turns')) as LoopReport;
  const long = turns.filter((ms) => ms > 1);
  return {
    'turn of the loop, p99.9': [quantile(turns, 0.999)],
    'turn of the loop, longest': [turns.at(-1) ?? 0],
    'turns over 1 ms, a second': [long.length / seconds],
    'turns over 1 ms of own work, a second': [longOwn.filter((ms) => ms > 1).length / seconds],
    'spent in turns over 1 ms, a second': [long.reduce((sum, ms) => sum + ms, 0) / seconds],
    'longest callback of the endpoint': longestCallback === 0 ? [] : [longestCallback],
  };
}

async function tripsDuring(
  server: ServerProcess,
  ms: number,
  busy: () => Promise<void>,
): Promise<number[]> {
  const pings = await Pings.open(server.port);
  const [trips] = await Promise.all([pings.run(ms), busy()]);
  pings.close();
  return trips;
}

async function scrape(scraping: Worker, scrapes: Scrapes): Promise<void> {
  const done = once(scraping, 'message');
  scraping.postMessage(scrapes);
  await done;
}

/** Changes hosts at the same rate in all runs, so that each scrape has something to render. */
async function whileHostsChange(server: ServerProcess, work: () => Promise<void>): Promise<void> {
  let done = false;
  const changes = (async () => {
    while (!done) {
      await server.tell('change', CHANGED_IN_15_S);
      await setTimeout(CHANGE_EVERY_MS);
    }
  })();
  try {
    await work();
  } finally {
    done = true;
    await changes;
  }
}
