import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IngestLoad } from './ingest/load.ts';
import { HttpLoad } from './reports/load.ts';
import type { BenchDefinition, BenchOptions } from './support/bench.ts';
import { type Measured, type Role, type Row, rowsOf } from './support/result.ts';
import { inTurn } from './support/rotation.ts';
import { ServerProcess } from './support/server-process.ts';

interface Contestant {
  readonly name: string;
  readonly role: Role;
  readonly kind: 'acknowledging' | 'control plane';
  readonly over: 'HTTP' | 'WebSocket';
}

const CONTESTANTS: readonly Contestant[] = [
  { name: 'uWS, HTTP, acknowledges only', role: 'floor', kind: 'acknowledging', over: 'HTTP' },
  { name: 'ours, HTTP', role: 'own', kind: 'control plane', over: 'HTTP' },
  { name: 'ours, WebSocket', role: 'own', kind: 'control plane', over: 'WebSocket' },
];

const CLIENTS = [1, 100, 1_000] as const;

export const reports: BenchDefinition = {
  name: 'reports',
  question:
    'How many reports by HTTP does the server accept, and how fast does it acknowledge them?',
  async run({ quick, progress }) {
    const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
    const servers = new Map<Contestant['kind'], ServerProcess>();
    try {
      for (const kind of ['acknowledging', 'control plane'] as const) {
        const hosts = Math.max(...CLIENTS);
        servers.set(kind, await ServerProcess.start({ kind, hosts, dataDir: directory }));
      }
      const rows: Row[] = [];
      for (const clients of quick ? [100] : CLIENTS) {
        progress.scenario(`${clients} clients`);
        rows.push(...(await withClients(clients, servers, { quick, progress })));
      }
      return {
        rows,
        notes: [
          'HTTP: each request contains one finished job and uses a new connection. Each host has one open request at a time. WebSocket: each socket stays open and has one finish in flight.',
          'Ours: the server acknowledges a finish after the commit of its transaction (SQLite, WAL, synchronous=FULL). One process runs all clients.',
        ],
      };
    } finally {
      await Promise.all([...servers.values()].map((server) => server.stop()));
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function withClients(
  clients: number,
  servers: ReadonlyMap<Contestant['kind'], ServerProcess>,
  { quick, progress }: Pick<BenchOptions, 'quick' | 'progress'>,
): Promise<Row[]> {
  const runs = CONTESTANTS.map(({ name, role, kind, over }) => ({
    server: servers.get(kind),
    over,
    rate: { contestant: name, role, rounds: [] as number[][] } satisfies Measured,
    wait: { contestant: name, role, rounds: [] as number[][] } satisfies Measured,
  }));
  await inTurn(runs, quick ? 3 : 8, progress, async ({ server, over, rate, wait }, round) => {
    if (server === undefined) return;
    const ms = quick ? 200 : 1_500;
    const { jobsPerSecond, acknowledgedMs } =
      over === 'HTTP'
        ? await new HttpLoad(server, clients).run(ms)
        : await overWebSocket(server, clients, ms);
    if (round < 0) return;
    rate.rounds.push([jobsPerSecond]);
    wait.rounds.push(acknowledgedMs);
  });
  const scenario = { clients };
  const measured = (key: 'rate' | 'wait') => runs.map((run) => run[key]);
  return [
    ...rowsOf({ measure: 'finished jobs a second', unit: 'jobs/s', scenario }, measured('rate')),
    ...rowsOf({ measure: 'until the acknowledgement', unit: 'ms', scenario }, measured('wait')),
  ];
}

async function overWebSocket(server: ServerProcess, sockets: number, ms: number) {
  const load = await IngestLoad.connect(server, sockets);
  try {
    return await load.run(1, ms);
  } finally {
    load.close();
  }
}
