import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../src/store-thread/engine.ts';
import { SqliteEngine } from '../src/store-thread/sqlite/engine.ts';
import { NO_POSTGRES, PostgresServer } from '../test/support/postgres-server.ts';
import { fillFleet } from './api/fleets.ts';
import { ApiClient, Pages } from './api/pages.ts';
import { SteadyLoad } from './api/steady-load.ts';
import { openEngine } from './postgres/batches.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { type Measured, type Row, rowsOf } from './support/result.ts';
import { inTurn } from './support/rotation.ts';
import { quantile } from './support/samples.ts';
import { ServerProcess } from './support/server-process.ts';

const AGENTS = 100;
const JOBS_PER_SECOND = 2_000;
const PAGES = 20;
const POLL_EVERY_MS = 5_000;

/** First pages: what the list is filtered by. */
const FIRST_PAGES = [
  ['no filter', '/api/hosts'],
  ['500 hosts', '/api/hosts?limit=500'],
  ['state=failed', '/api/hosts?state=failed'],
  ['state=ok', '/api/hosts?state=ok'],
  ['search that matches all', '/api/hosts?search=-'],
  ['search that matches some', '/api/hosts?search=osa1'],
  ['search that matches none', '/api/hosts?search=no-such-host'],
] as const;

export const api: BenchDefinition = {
  name: 'api',
  question: 'How fast is the API, and how much do pages that poll it delay the agents?',
  async run(options) {
    const [hosts = 0] = fleetSizes(options, [options.quick ? 1_000 : 100_000]);
    const rows = await onSqlite(hosts, options);
    if (NO_POSTGRES === '') rows.push(...(await onPostgres(hosts, options)));
    return {
      rows,
      notes: [
        `During all measurements, ${AGENTS} agents of the fleet report ${JOBS_PER_SECOND} finished jobs a second in total. Server, database, agents and pages share the cores of the machine.`,
        `First pages: one client asks again and again. The floor is GET /healthz.`,
        `Acknowledgements: from the time at which a finish was due until its acknowledgement. With pages, ${PAGES} pages ask for /api/fleet and /api/hosts every ${POLL_EVERY_MS / 1_000} s. The p99 row has one sample for each round.`,
        ...(NO_POSTGRES === '' ? [] : [NO_POSTGRES]),
      ],
    };
  },
};

async function onSqlite(hosts: number, options: BenchOptions): Promise<Row[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    options.progress.scenario(`SQLite, ${hosts} hosts, filling`);
    const engine = SqliteEngine.open(dataDir, { serves: true, onForgottenJobs: () => {} });
    const tokens = filled(engine, hosts);
    const server = await ServerProcess.start({
      kind: 'control plane',
      hosts,
      dataDir,
      isFilled: true,
    });
    return await measured('SQLite', hosts, server, tokens, options);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function onPostgres(hosts: number, options: BenchOptions): Promise<Row[]> {
  const postgres = await PostgresServer.start(['max_wal_size=4GB']);
  const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    options.progress.scenario(`PostgreSQL, ${hosts} hosts, filling`);
    const databaseUrl = postgres.createDatabase();
    const tokens = filled(openEngine(databaseUrl), hosts);
    const server = await ServerProcess.start({
      kind: 'control plane',
      hosts,
      dataDir,
      databaseUrl,
      isFilled: true,
    });
    return await measured('PostgreSQL', hosts, server, tokens, options);
  } finally {
    postgres.remove();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function filled(engine: Engine, hosts: number): string[] {
  try {
    return fillFleet(engine, hosts, AGENTS);
  } finally {
    engine.close();
  }
}

async function measured(
  engine: string,
  hosts: number,
  server: ServerProcess,
  tokens: readonly string[],
  options: BenchOptions,
): Promise<Row[]> {
  const load = await SteadyLoad.connect(server.port, tokens);
  try {
    const scenario = { engine, hosts };
    options.progress.scenario(`${engine}, first pages`);
    const pages = await firstPages(server, load, scenario, options);
    options.progress.scenario(`${engine}, acknowledgements`);
    return [...pages, ...(await acknowledgements(server, load, scenario, options))];
  } finally {
    load.close();
    await server.stop();
  }
}

async function firstPages(
  server: ServerProcess,
  load: SteadyLoad,
  scenario: Row['scenario'],
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  const ms = quick ? 200 : 1_500;
  const client = new ApiClient(server.port);
  const runs = [['healthz', '/healthz'] as const, ...FIRST_PAGES].map(([contestant, path]) => ({
    path,
    measured: {
      contestant,
      role: path === '/healthz' ? 'floor' : 'own',
      rounds: [] as number[][],
    } satisfies Measured,
  }));
  await inTurn(runs, quick ? 1 : 5, progress, async ({ path, measured }, round) => {
    const waits: number[] = [];
    let isOver = false;
    const ask = async () => {
      while (!isOver) waits.push((await client.get(path)).ms);
    };
    const agents = load.run(JOBS_PER_SECOND, ms).finally(() => {
      isOver = true;
    });
    await Promise.all([agents, ask()]);
    if (round >= 0) measured.rounds.push(waits);
  });
  client.close();
  const kind = { measure: 'first page of GET /api/hosts', unit: 'ms', scenario } as const;
  return rowsOf(
    kind,
    runs.map(({ measured }) => measured),
  );
}

async function acknowledgements(
  server: ServerProcess,
  load: SteadyLoad,
  scenario: Row['scenario'],
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  const ms = quick ? 500 : 10_000;
  const runs = [0, PAGES].map((pages) => ({
    pages,
    contestant: pages === 0 ? 'no page' : `${pages} pages`,
    role: pages === 0 ? ('floor' as const) : ('own' as const),
    waits: [] as number[][],
    worst: [] as number[][],
  }));
  await inTurn(runs, quick ? 1 : 8, progress, async ({ pages, waits, worst }, round) => {
    const open = new Pages(server.port, pages, quick ? ms / 2 : POLL_EVERY_MS);
    const acknowledged = await load.run(JOBS_PER_SECOND, ms);
    await open.close();
    if (round < 0) return;
    waits.push(acknowledged);
    worst.push([quantile(Float64Array.from(acknowledged).sort(), 0.99)]);
  });
  const rows = (measure: string, key: 'waits' | 'worst') =>
    rowsOf(
      { measure, unit: 'ms', scenario },
      runs.map(({ contestant, role, [key]: rounds }) => ({ contestant, role, rounds })),
    );
  return [
    ...rows('until the acknowledgement', 'waits'),
    ...rows('until the acknowledgement, p99', 'worst'),
  ];
}
