import type { PostgresServer } from '../../test/support/postgres-server.ts';
import { METRICS_TOKEN, SoakServer } from '../soak/server.ts';
import type { BenchOptions } from '../support/bench.ts';
import { benchFleet } from '../support/fleet.ts';
import { type Row, rowsOf } from '../support/result.ts';
import { openEngine } from './batches.ts';

const FLEETS = [1_000, 100_000] as const;
const HOSTS_AT_ONCE = 5_000;
const PARTS = [1, 10] as const;
const MB = 1_000_000;

/** How long an instance reads the fleet when it starts, and how much memory it needs then. */
export async function starts(
  server: PostgresServer,
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const hosts of quick ? FLEETS.slice(0, 1) : FLEETS) {
    progress.scenario(`starts with ${hosts} hosts`);
    rows.push(...(await startsWith(server, hosts)));
  }
  return rows;
}

async function startsWith(server: PostgresServer, hosts: number): Promise<Row[]> {
  const url = server.createDatabase();
  enrol(url, hosts);
  const figures: { parts: number; ms: number; mb: number }[] = [];
  for (const parts of PARTS) {
    const startedAt = performance.now();
    const instance = await SoakServer.start(1, {
      RM_DATABASE_URL: url,
      RM_METRICS_SHARD: `0/${parts}`,
    });
    const ms = performance.now() - startedAt;
    await scrape(instance.url); // from now on it keeps the body
    figures.push({ parts, ms, mb: (await instance.residentBytes()) / MB });
    await instance.stop();
  }
  const scenario = { hosts };
  const measured = (value: (figure: (typeof figures)[number]) => number) =>
    figures.map((figure) => ({
      contestant: figure.parts === 1 ? 'ours, shows all' : `ours, shows 1/${figure.parts}`,
      role: 'own' as const,
      rounds: [[value(figure)]],
    }));
  return [
    ...rowsOf(
      { measure: 'start of an instance', unit: 'ms', scenario },
      measured(({ ms }) => ms),
    ),
    ...rowsOf(
      { measure: 'resident memory of an instance', unit: 'MB', scenario },
      measured(({ mb }) => mb),
    ),
  ];
}

async function scrape(url: string): Promise<void> {
  const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
  const response = await fetch(`${url}/metrics`, { headers });
  await response.arrayBuffer();
}

function enrol(url: string, count: number): void {
  const engine = openEngine(url);
  const hosts = benchFleet(count).map(({ hostId, host }) => ({
    hostId,
    host,
    tokenDigest: Buffer.from(hostId),
  }));
  for (let from = 0; from < count; from += HOSTS_AT_ONCE) {
    engine.transaction(() => engine.addHosts(hosts.slice(from, from + HOSTS_AT_ONCE)));
  }
  engine.close();
}
