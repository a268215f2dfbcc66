import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Changes } from '../src/store-thread/changes.ts';
import { Session } from '../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, PostgresServer } from '../test/support/postgres-server.ts';
import { Finishes, insertOnly, openEngine, store } from './postgres/batches.ts';
import { costs } from './postgres/costs.ts';
import { starts } from './postgres/starts.ts';
import type { BenchDefinition, BenchOptions } from './support/bench.ts';
import { benchFleet } from './support/fleet.ts';
import { type Measured, type Row, rowsOf } from './support/result.ts';
import { inTurn } from './support/rotation.ts';

const HOSTS = 3_000;
const BATCHES = [1_000, 100] as const;
const FOLLOW_EVERY_MS = 250;
const WRITER = fileURLToPath(new URL('./postgres/writer.ts', import.meta.url));

export const postgres: BenchDefinition = {
  name: 'postgres',
  question:
    'How many finished jobs does PostgreSQL store per second, and when does another instance show them?',
  async run(options) {
    if (NO_POSTGRES !== '') return { rows: [], notes: [NO_POSTGRES] };
    const server = await PostgresServer.start(['max_wal_size=4GB']);
    try {
      const url = server.createDatabase();
      const hostIds = enrol(url);
      const rows: Row[] = [];
      for (const batch of BATCHES) rows.push(...(await oneInstance(url, hostIds, batch, options)));
      rows.push(...(await severalInstances(url, hostIds, options)));
      rows.push(...(await visibility(url, hostIds, options)));
      rows.push(...(await costs(server, url, hostIds, options)));
      rows.push(...(await starts(server, options)));
      const deadlocks = server.sql(
        'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
        url,
      );
      return {
        rows,
        notes: [
          `PostgreSQL with fsync and synchronous_commit on, on the same machine. ${HOSTS} hosts. Deadlocks in the whole run: ${deadlocks}.`,
          'The floor inserts the same jobs into a table like ours, with one INSERT … unnest in one transaction, over the same connection thread. It applies no rules and changes no host.',
          `An instance polls every ${FOLLOW_EVERY_MS} ms for changes of the others. A sample is the time from the commit of a finish until another instance has read the host.`,
        ],
      };
    } finally {
      server.remove();
    }
  },
};

function enrol(url: string): string[] {
  const hosts = benchFleet(HOSTS).map(({ hostId, host }) => ({
    hostId,
    host,
    tokenDigest: Buffer.from(hostId),
  }));
  const engine = openEngine(url);
  engine.transaction(() => engine.addHosts(hosts));
  engine.close();
  return hosts.map(({ hostId }) => hostId);
}

async function oneInstance(
  url: string,
  hostIds: readonly string[],
  batch: number,
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`batches of ${batch}`);
  const engine = openEngine(url);
  const session = new Session([url]);
  session.run('CREATE TABLE IF NOT EXISTS bare_jobs (LIKE jobs INCLUDING ALL)');
  const finishes = new Finishes(hostIds, `one-${batch}`);
  const contestant = (name: string, role: 'floor' | 'own', run: () => void) => ({
    run,
    measured: { contestant: name, role, rounds: [] as number[][] } satisfies Measured,
  });
  const contestants = [
    contestant('INSERT … unnest only', 'floor', () => insertOnly(session, finishes.next(batch))),
    contestant('ours, one instance', 'own', () => store(engine, finishes.next(batch))),
  ];
  await inTurn(contestants, quick ? 2 : 10, progress, async ({ run, measured }, round) => {
    const ms = quick ? 300 : 2_000;
    const startedAt = performance.now();
    let batches = 0;
    for (; performance.now() - startedAt < ms; batches++) run();
    const seconds = (performance.now() - startedAt) / 1_000;
    if (round >= 0) measured.rounds.push([(batches * batch) / seconds]);
  });
  session.close();
  engine.close();
  const kind = { measure: 'finished jobs a second', unit: 'jobs/s', scenario: { batch } } as const;
  return rowsOf(
    kind,
    contestants.map(({ measured }) => measured),
  );
}

/** Each instance is a process and writes for its own part of the hosts, because an agent has one connection. */
async function severalInstances(
  url: string,
  hostIds: readonly string[],
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario('several instances');
  const ms = quick ? 500 : 5_000;
  const batch = 1_000;
  const counts = [1, 3].map((instances) => ({
    instances,
    measured: {
      contestant: `ours, ${instances === 1 ? 'one process' : `${instances} processes`}`,
      role: 'own',
      rounds: [] as number[][],
    } satisfies Measured,
  }));
  let run = 0;
  await inTurn(counts, quick ? 1 : 4, progress, async ({ instances, measured }, round) => {
    run++;
    const writers = Array.from({ length: instances }, (_, index) => {
      const own = hostIds.filter((_, host) => host % instances === index);
      const args = [url, `run-${run}-${index}`, ms, batch, ...own].map(String);
      return spawn(process.execPath, [WRITER, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    });
    await Promise.all(writers.map(nextLine));
    const rates = writers.map(nextLine);
    for (const { stdin } of writers) stdin.write('\n');
    const sum = (await Promise.all(rates)).reduce((all, rate) => all + Number(rate), 0);
    if (round >= 0) measured.rounds.push([sum]);
  });
  const scenario = { instances: '1 and 3', batch };
  const kind = { measure: 'finished jobs a second', unit: 'jobs/s', scenario } as const;
  return rowsOf(
    kind,
    counts.map(({ measured }) => measured),
  );
}

async function nextLine({
  stdout,
}: ChildProcessByStdio<Writable, Readable, null>): Promise<string> {
  const [line] = await once(stdout, 'data');
  return String(line);
}

async function visibility(
  url: string,
  hostIds: readonly string[],
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario('visible on another instance');
  const [here, there] = [openEngine(url), openEngine(url)];
  const finishes = new Finishes(hostIds, 'visible');
  const waiting = new Map<string, number>();
  const waitedMs: number[] = [];
  const following = setInterval(() => {
    const changes = new Changes();
    there.follow(changes);
    for (const { hostId } of changes.followed) {
      const committedAt = waiting.get(hostId);
      if (committedAt !== undefined) waitedMs.push(performance.now() - committedAt);
      waiting.delete(hostId);
    }
  }, FOLLOW_EVERY_MS);
  for (let n = 0; n < (quick ? 20 : 400); n++) {
    const [[, job] = []] = finishes.next(1);
    if (job === undefined) continue;
    store(here, [['finishJob', { ...job, kind: 'backup' }]]);
    waiting.set(job.hostId, performance.now());
    await sleep(Math.random() * 60);
  }
  await sleep(2 * FOLLOW_EVERY_MS);
  clearInterval(following);
  here.close();
  there.close();
  const kind = {
    measure: 'visible on another instance',
    unit: 'ms',
    scenario: { instances: 2 },
  } as const;
  return rowsOf(kind, [{ contestant: 'ours', role: 'own', rounds: [waitedMs] }]);
}
