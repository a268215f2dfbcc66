import type { PostgresServer } from '../../test/support/postgres-server.ts';
import { SoakServer } from '../soak/server.ts';
import type { BenchOptions } from '../support/bench.ts';
import { benchFleet } from '../support/fleet.ts';
import { type Row, rowsOf } from '../support/result.ts';
import { openEngine } from './batches.ts';

const HOSTS = 100_000;
const HOSTS_AT_ONCE = 5_000;
const PARTS = [1, 10] as const;
const MB = 1_000_000;

/** How long an instance reads a large fleet when it starts, and how much memory it needs then. */
export async function starts(
  server: PostgresServer,
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  const hosts = quick ? 1_000 : HOSTS;
  progress.scenario(`starts with ${hosts} hosts`);
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
