import { Changes } from '../../src/store-thread/changes.ts';
import type { PostgresServer } from '../../test/support/postgres-server.ts';
import type { BenchOptions } from '../support/bench.ts';
import { type Row, rowsOf, type Scenario, type Unit } from '../support/result.ts';
import { Backend, CountingProxy } from './backend.ts';
import { Finishes, openEngine, store } from './batches.ts';

const BATCHES = [1, 10, 100, 1_000] as const;
const CHANGED = [0, 100, 1_000] as const;
/** An instance does not poll more often. */
const POLL_PAUSE_MS = 60;

/** One kind of work, of which this measures the time, the CPU of the server, and the bytes on the network. */
interface Work {
  readonly what: string;
  readonly scenario: Scenario;
  /** Called before each `run` and not measured. */
  readonly prepare?: () => void;
  readonly run: () => void;
}

/**
 * What a batch and a poll cost, and what a host and a job need on the disk. The simulation uses these
 * figures. A batch has finishes of random hosts. A poll reads the hosts that another instance has changed.
 */
export async function costs(
  server: PostgresServer,
  url: string,
  hostIds: readonly string[],
  { quick, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario('costs of a batch and of a poll');
  const ms = quick ? 300 : 4_000;
  const finishes = new Finishes(hostIds, 'costs');
  const proxy = await CountingProxy.start(server.port);
  const other = openEngine(url);
  const engine = openEngine(proxy.through(url));
  const backend = new Backend(server, url);
  const batches = BATCHES.map(
    (jobs): Work => ({
      what: 'a batch',
      scenario: { jobs },
      run: () => store(engine, finishes.next(jobs)),
    }),
  );
  const polls = CHANGED.map(
    (hosts): Work => ({
      what: 'a poll',
      scenario: { 'changed hosts': hosts },
      prepare: () => {
        if (hosts > 0) store(other, finishes.next(hosts));
        pause(POLL_PAUSE_MS);
      },
      run: () => engine.follow(new Changes()),
    }),
  );
  const rows = [...batches, ...polls].flatMap((work) => costsOf(work, ms, backend, proxy));
  engine.close();
  other.close();
  await proxy.close();
  return [...rows, ...sizes(server, url)];
}

function costsOf(
  { what, scenario, prepare = () => {}, run }: Work,
  ms: number,
  backend: Backend,
  proxy: CountingProxy,
): Row[] {
  prepare();
  run(); // compiles the code
  const before = { cpuMs: backend.cpuMs(), bytes: proxy.bytes };
  const times: number[] = [];
  for (const endAt = performance.now() + ms; performance.now() < endAt; ) {
    prepare();
    const startedAt = performance.now();
    run();
    times.push(performance.now() - startedAt);
  }
  const row = (measure: string, unit: Unit, samples: number[]) =>
    rowsOf({ measure: `${what}: ${measure}`, unit, scenario }, [
      { contestant: 'ours', role: 'own', rounds: [samples] },
    ]);
  return [
    ...row('time', 'ms', times),
    ...row('CPU of the server', 'ms', [(backend.cpuMs() - before.cpuMs) / times.length]),
    ...row('on the network', 'KiB', [(proxy.bytes - before.bytes) / times.length / 1_024]),
  ];
}

/** The tables with their indexes, divided by the rows. */
function sizes(server: PostgresServer, url: string): Row[] {
  const rounds = (['hosts', 'jobs'] as const).map((table) => ({
    contestant: table === 'hosts' ? 'a host' : 'a job',
    role: 'own' as const,
    rounds: [
      [
        Number(
          server.sql(
            `SELECT pg_total_relation_size('${table}')::float / (SELECT count(*) FROM ${table}) / 1024`,
            url,
          ),
        ),
      ],
    ],
  }));
  return rowsOf(
    { measure: 'on the disk of the server', unit: 'KiB', scenario: { tables: 'with indexes' } },
    rounds,
  );
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, ms);
}
