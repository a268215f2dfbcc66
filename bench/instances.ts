import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort } from '../test/support/free-port.ts';
import { NO_POSTGRES, PostgresServer } from '../test/support/postgres-server.ts';
import { type Acknowledged, Crowd } from './instances/crowd.ts';
import { SoakServer } from './soak/server.ts';
import { commandLine, wholeNumber } from './support/command-line.ts';
import { median, summarise } from './support/samples.ts';

/*
 * Measures several instances on one PostgreSQL with many agents: whether all agents are welcome, how many
 * finishes the instances store per second in comparison with one instance, whether transactions collide,
 * and what the agents notice when one instance restarts. The agents choose an instance at random, as
 * behind a load balancer. Everything runs on this machine.
 */
const USAGE = `npm run instances -- [--agents N] [--minutes M] [--rate R]

  --agents N   agents of the three instances; the instance that is compared gets half of them (default: 30000)
  --minutes M  how long the agents report before one instance restarts (default: 10)
  --rate R     finishes a second meanwhile (default: 500)`;
const INSTANCES = 3;
/** Unanswered finishes of each instance: enough for full batches. */
const IN_FLIGHT = 3_000;
const ROUNDS = 5;
const ROUND_MS = 8_000;
/** After a change of the load. */
const SETTLE_MS = 2_000;
const POLL_MS = 100;
const CONNECT_LIMIT_MS = 120_000;
const BACK_LIMIT_MS = 15_000;
const ACKNOWLEDGED_LIMIT_MS = 1_000;
const MAX_ROLLED_BACK = 3;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
const { agents, minutes, rate } = commandLine(USAGE, parse);
if (NO_POSTGRES !== '') {
  console.error(NO_POSTGRES);
  process.exit(1);
}

const failures: string[] = [];
function expect(isTrue: boolean, otherwise: string): void {
  if (!isTrue) failures.push(otherwise);
}

const postgres = await PostgresServer.start(['max_wal_size=4GB']);
process.once('exit', () => postgres.remove());
const url = postgres.createDatabase();
const start = (index: number, port: number) =>
  SoakServer.start(1, {
    RM_DATABASE_URL: url,
    RM_METRICS_SHARD: `${index}/${INSTANCES}`,
    RM_LISTEN: `127.0.0.1:${port}`,
  });
const instances = await Promise.all(
  Array.from({ length: INSTANCES }, async (_, index) => start(index, await freePort())),
);
const alone = await SoakServer.start(1, { RM_DATABASE_URL: postgres.createDatabase() });
const crowd = await connected(instances, agents);
const smallCrowd = await connected([alone], Math.min(Math.round(agents / 2), 15_000));

/** Stores as many finishes as possible, in turn with one instance and with all. */
const rates = { one: [] as number[], all: [] as number[] };
for (let round = 0; round < ROUNDS; round++) {
  rates.one.push(await saturated(smallCrowd, 1));
  rates.all.push(await saturated(crowd, INSTANCES));
}
const ratio = median(rates.all.map((all, round) => all / (rates.one[round] ?? 0)));
print('as many finishes as possible', [
  `one instance ${Math.round(median(rates.one))}/s`,
  `${INSTANCES} instances ${Math.round(median(rates.all))}/s`,
  `${ratio.toFixed(2)} ×`,
]);
// Not judged: all instances, the database and the agents share the cores of this machine.
smallCrowd.end();
await alone.stop();

/** The agents of all instances report for some minutes. */
await crowd.report();
const before = transactions();
crowd.load({ perSecond: rate });
await sleep(minutes * 60_000);
const quiet = await crowd.report();
const after = transactions();
const waits = summarise(quiet.finishes.map(({ ms }) => ms));
print(`${rate} finishes a second, ${minutes} min`, [
  `${quiet.finishes.length} acknowledged`,
  `p50 ${waits.median.toFixed(0)} ms`,
  `p99 ${waits.p99.toFixed(0)} ms`,
  `${after.committed - before.committed} transactions`,
  `${after.rolledBack - before.rolledBack} rolled back`,
  `${after.deadlocks - before.deadlocks} deadlocks`,
]);
expect(after.rolledBack - before.rolledBack <= MAX_ROLLED_BACK, 'transactions were rolled back');
expect(after.deadlocks === before.deadlocks, 'there were deadlocks');

/** One instance restarts meanwhile. */
const restarting = portOf(instances[0]);
const stoppedAt = Date.now();
const exit = await instances[0]?.stop();
instances[0] = await start(0, restarting);
const startedMs = Date.now() - stoppedAt;
const finishes: Acknowledged[] = [];
for (;;) {
  const { welcome, finishes: more } = await crowd.report();
  finishes.push(...more);
  if (welcome === agents || Date.now() - stoppedAt > CONNECT_LIMIT_MS) break;
  await sleep(POLL_MS);
}
const backMs = Date.now() - stoppedAt;
const elsewhere = finishes.filter(({ port }) => port !== restarting).map(({ ms }) => ms);
const during = summarise(elsewhere);
print('one instance restarts', [
  `exit code ${exit?.by} after ${seconds(exit?.ms ?? 0)}`,
  `serves again after ${seconds(startedMs)}`,
  `all agents welcome after ${seconds(backMs)}`,
  `the others acknowledge: p50 ${during.median.toFixed(0)} ms, p99 ${during.p99.toFixed(0)} ms`,
]);
expect(backMs <= BACK_LIMIT_MS, 'its agents were away for too long');
expect(during.p99 < ACKNOWLEDGED_LIMIT_MS, 'the other instances acknowledged too slowly');

/** Everything that was acknowledged is stored. A job has a unique key, so it cannot be stored twice. */
crowd.load('none');
for (let waited = 0; waited < CONNECT_LIMIT_MS; waited += POLL_MS) {
  if ((await crowd.report()).unanswered === 0) break;
  await sleep(POLL_MS);
}
const stored = Number(postgres.sql('SELECT count(*) FROM jobs WHERE status IS NOT NULL', url));
print('in the database', [`${crowd.acknowledged} acknowledged`, `${stored} stored`]);
expect(stored === crowd.acknowledged, 'not every acknowledged finish is stored once');
crowd.end();
for (const instance of instances) await instance.stop();

for (const failure of failures) console.log(`  ${failure}`);
console.log(failures.length === 0 ? 'PASS' : 'FAIL');
process.exit(failures.length === 0 ? 0 : 1);

async function connected(servers: readonly SoakServer[], count: number): Promise<Crowd> {
  const names = Array.from({ length: count }, (_, n) => `db-fra1-${n}.backup.example.net`);
  const tokens = ((await servers[0]?.addHosts(names)) ?? []).map(({ token }) => token);
  await sleep(1_000); // until all instances know the tokens
  const startedAt = performance.now();
  const crowd = new Crowd(servers.map(portOf), tokens);
  let welcome = 0;
  while (welcome < count && performance.now() - startedAt < CONNECT_LIMIT_MS) {
    ({ welcome } = await crowd.report());
    await sleep(POLL_MS);
  }
  const ms = performance.now() - startedAt;
  const many = servers.length === 1 ? '1 instance' : `${servers.length} instances`;
  print(`${count} agents, ${many}`, [`${welcome} welcome after ${seconds(ms)}`]);
  expect(welcome === count, 'not all agents are welcome');
  return crowd;
}

/** @returns acknowledged finishes per second */
async function saturated(crowd: Crowd, count: number): Promise<number> {
  crowd.load({ inFlight: IN_FLIGHT * count });
  await sleep(SETTLE_MS);
  await crowd.report();
  const startedAt = performance.now();
  await sleep(ROUND_MS);
  const { finishes } = await crowd.report();
  const perSecond = finishes.length / ((performance.now() - startedAt) / 1_000);
  crowd.load('none');
  await sleep(SETTLE_MS);
  return perSecond;
}

/** Numbers of transactions of the database since its creation. */
function transactions() {
  const row = postgres.sql(
    'SELECT xact_commit, xact_rollback, deadlocks FROM pg_stat_database WHERE datname = current_database()',
    url,
  );
  const [committed = 0, rolledBack = 0, deadlocks = 0] = row.split('|').map(Number);
  return { committed, rolledBack, deadlocks };
}

function portOf(server: SoakServer | undefined): number {
  return Number(new URL(server?.url ?? '').port);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function print(title: string, figures: readonly string[]): void {
  console.log(`${title.padEnd(34)}${figures.join(', ')}`);
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      agents: { type: 'string', default: '30000' },
      minutes: { type: 'string', default: '10' },
      rate: { type: 'string', default: '500' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const minutes = Number(values.minutes);
  if (!(minutes >= 0.1 && minutes <= 1_440)) throw new Error('--minutes: must be 0.1 to 1440');
  return {
    agents: wholeNumber('--agents', values.agents, 50_000, INSTANCES),
    minutes,
    rate: wholeNumber('--rate', values.rate, 100_000),
  };
}
