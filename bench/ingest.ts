import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IngestLoad } from './ingest/load.ts';
import type { ServerKind } from './servers/serve.ts';
import type { BenchDefinition, BenchOptions } from './support/bench.ts';
import { type Measured, type Role, type Row, rowsOf } from './support/result.ts';
import { inTurn } from './support/rotation.ts';
import { ServerProcess } from './support/server-process.ts';

interface Contestant {
  readonly name: string;
  readonly role: Role;
  readonly kind: ServerKind;
}

const CONTESTANTS: readonly Contestant[] = [
  { name: 'acknowledges only', role: 'floor', kind: 'acknowledging' },
  { name: 'ours, without a store', role: 'own', kind: 'agents without a store' },
  { name: 'ours, on disk', role: 'own', kind: 'control plane' },
];

/** Number of sockets, and of unacknowledged finishes on each. */
const LOADS = [
  { sockets: 1, inFlight: 1 },
  { sockets: 100, inFlight: 1 },
  { sockets: 100, inFlight: 16 },
] as const;

export const ingest: BenchDefinition = {
  name: 'ingest',
  question:
    'How many finished jobs per second does the server accept, and how fast does it acknowledge them?',
  async run({ quick, progress }) {
    const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
    const servers: ServerProcess[] = [];
    try {
      const hosts = Math.max(...LOADS.map(({ sockets }) => sockets));
      for (const { kind } of CONTESTANTS) {
        servers.push(await ServerProcess.start({ kind, hosts, dataDir: directory }));
      }
      const rows: Row[] = [];
      for (const load of quick ? LOADS.slice(-1) : LOADS) {
        progress.scenario(`${load.sockets} sockets, ${load.inFlight} in flight`);
        rows.push(...(await underLoad(load, servers, { quick, progress })));
      }
      return {
        rows,
        notes: [
          'On disk: the server acknowledges a finish after the commit of its transaction (SQLite, WAL, synchronous=FULL), on the file system of the temporary directory.',
          'Each finish is for a new job without a job.started. One process generates the load. Where it is slower than the server, the floor shows it.',
        ],
      };
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function underLoad(
  { sockets, inFlight }: (typeof LOADS)[number],
  servers: readonly ServerProcess[],
  { quick, progress }: Pick<BenchOptions, 'quick' | 'progress'>,
): Promise<Row[]> {
  const runs = CONTESTANTS.map(({ name, role }, index) => ({
    server: servers[index],
    rate: { contestant: name, role, rounds: [] as number[][] } satisfies Measured,
    wait: { contestant: name, role, rounds: [] as number[][] } satisfies Measured,
  }));
  await inTurn(runs, quick ? 3 : 10, progress, async ({ server, rate, wait }, round) => {
    if (server === undefined) return;
    const load = await IngestLoad.connect(server, sockets);
    const { jobsPerSecond, acknowledgedMs } = await load.run(inFlight, quick ? 200 : 1_500);
    load.close();
    if (round < 0) return;
    rate.rounds.push([jobsPerSecond]);
    wait.rounds.push(acknowledgedMs);
  });
  const scenario = { sockets, 'in flight': inFlight };
  return [
    ...rowsOf(
      { measure: 'finished jobs a second', unit: 'jobs/s', scenario },
      runs.map(({ rate }) => rate),
    ),
    ...rowsOf(
      { measure: 'until the acknowledgement', unit: 'ms', scenario },
      runs.map(({ wait }) => wait),
    ),
  ];
}
