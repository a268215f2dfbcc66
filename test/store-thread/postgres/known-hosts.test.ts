import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { seededRandom } from '../../../bench/support/random.ts';
import type { Operation } from '../../../src/contract/operations.ts';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { Changes } from '../../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { Hosts } from '../../../src/store-thread/postgres/hosts.ts';
import { KnownHosts, MAX_KNOWN } from '../../../src/store-thread/postgres/known-hosts.ts';
import { applyReports } from '../../../src/store-thread/reports.ts';
import { Named } from '../../../src/store-thread/rows.ts';
import type { HostRecord } from '../../../src/store-thread/rules/records.ts';
import { freePort } from '../../support/free-port.ts';
import { NO_PGBOUNCER, Pgbouncer } from '../../support/pgbouncer.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { eventually } from '../../support/serve.ts';
import { AT, StoreRig } from '../store-rig.ts';

describe('the known hosts', () => {
  const row = (hostId: string) => ({ hostId }) as HostRecord;
  let hosts: KnownHosts;
  /** The hosts that were read. */
  let read: string[];

  beforeEach(() => {
    hosts = new KnownHosts();
    hosts.noteServer('a');
    read = [];
  });

  function rows(...newest: [hostId: string, xmin: string][]) {
    return hosts.rows(newest, (hostIds) => {
      read.push(...hostIds);
      return hostIds.map(row);
    });
  }

  it('are read again if another transaction has written the row', () => {
    rows(['one', '5'], ['two', '5']);
    hosts.commit();
    rows(['one', '5'], ['two', '6']);
    expect(read).toEqual(['one', 'two', 'two']);
  });

  it('are read again if the transaction that read or wrote them was rolled back', () => {
    rows(['one', '5']);
    hosts.wrote('6', row('one'));
    hosts.forgetCurrent();
    rows(['one', '6']);
    expect(read).toEqual(['one', 'one']);
  });

  it('are read again on another server, which may use the same ids for other transactions', () => {
    rows(['one', '5']);
    hosts.commit();
    hosts.noteServer('b');
    rows(['one', '5']);
    expect(read).toEqual(['one', 'one']);
  });

  it('are limited in number: those that have not been used for the longest time are read again', () => {
    rows(['first', '5'], ['second', '5']);
    hosts.commit();
    rows(...Array.from({ length: MAX_KNOWN - 2 }, (_, n): [string, string] => [`${n}`, '5']));
    hosts.commit();
    rows(['first', '5'], ['another', '5']);
    hosts.commit();
    read = [];
    rows(['first', '5'], ['second', '5']);
    expect(read).toEqual(['second']);
  });
});

unless(NO_POSTGRES).describe('the hosts that an instance knows', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let url: string;
  let engines: PostgresEngine[];
  let rigs: StoreRig[];

  beforeEach(() => {
    url = server.createDatabase();
    engines = [];
    rigs = [];
  });

  afterEach(() => {
    for (const rig of rigs) rig.close();
    for (const engine of engines) engine.close();
  });

  function open(address = url): { engine: PostgresEngine; rig: StoreRig } {
    const engine = PostgresEngine.open(address, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    const rig = new StoreRig(engine);
    engines.push(engine);
    rigs.push(rig);
    return { engine, rig };
  }

  /** The host by which the rules would decide now. */
  function loaded(engine: PostgresEngine, hostId: string): HostRecord | undefined {
    const named = new Named();
    named.hostIds.add(hostId);
    return engine.transaction(() => engine.load(named).host(hostId));
  }

  it('are as in the database after each of many random batches of two instances', () => {
    const [here, there] = [open(), open()];
    const hostIds = ['a', 'b', 'c', 'd'].map((host) => here.rig.enrol(host));
    let count = 0;
    const seed = Date.now();
    const random = seededRandom(seed);
    const any = <T>(...from: T[]): T => from[Math.floor(random() * from.length)] as T;
    const operations: (() => Operation)[] = [
      () => ['hello', { hostId: any(...hostIds), connection: ++count, agent: AGENT }],
      () => ['goodbye', { hostId: any(...hostIds), connection: count }],
      () => ['seen', { hostId: any(...hostIds), agent: any(AGENT, undefined) }],
      () => ['repoStats', { hostId: any(...hostIds), snapshotCount: ++count }],
      () => ['renameHost', { hostId: any(...hostIds), host: `host-${++count}` }],
      () => finish(any(...hostIds), `job-${Math.ceil(count++ / 2)}`, AT + count),
      () => ['startJob', job(any(...hostIds), `start-${++count}`)],
      // Makes each operation of the batch run in a savepoint.
      () => ['addHosts', { hosts: [''] }],
    ];
    for (let round = 0; round < 60; round++) {
      const { rig } = any(here, there);
      rig.submitAll(Array.from({ length: any(1, 2, 5) }, () => any(...operations)()));
      for (const { engine } of [here, there]) {
        for (const hostId of hostIds) {
          expect(loaded(engine, hostId), `seed ${seed}`).toEqual(engine.host(hostId));
        }
      }
    }
    expect([...here.rig.logged, ...there.rig.logged]).toEqual([]);
  });

  it('are as in the database in every field', () => {
    const { engine, rig } = open();
    const hostId = rig.enrol('web');
    const end = { startedAtMs: AT - 7, status: 'succeeded' } as const;
    rig.submitAll([
      ['seen', { hostId, agent: FULL_AGENT }],
      ['repoStats', { hostId, totalSizeBytes: 5, snapshotCount: 6, repoStatus: 'ready' }],
      ['finishJob', { ...job(hostId, 'a'), ...end, finishedAtMs: AT, summary: { bytesAdded: 9 } }],
      ['finishJob', { ...job(hostId, 'b'), ...end, kind: 'check', finishedAtMs: AT + 1 }],
      ['finishJob', { ...job(hostId, 'c'), ...end, finishedAtMs: AT + 2, status: 'failed' }],
      [
        'finishJob',
        { ...job(hostId, 'd'), ...end, kind: 'prune', finishedAtMs: AT + 3, status: 'failed' },
      ],
    ]);
    const stored = engine.host(hostId);
    expect(loaded(engine, hostId)).toEqual(stored);
    // Of the host nothing is unknown, and of its times one.
    expect(Object.entries(stored ?? {}).filter(([, value]) => value === undefined)).toEqual([
      ['connection', undefined],
      ['offlineSinceMs', undefined],
    ]);
    expect(stored?.agent).toEqual(FULL_AGENT);
    const goodbye = { hostId, connection: rig.hello(hostId) };
    expect(loaded(engine, hostId)).toEqual(engine.host(hostId));
    rig.submit('goodbye', goodbye);
    expect(loaded(engine, hostId)).toEqual(engine.host(hostId));
    expect(engine.host(hostId)?.offlineSinceMs).toBeDefined();
  });

  it('are not read again for its own batches', () => {
    const { rig } = open();
    const hostIds = [rig.online('web'), rig.online('mail')];
    const read = vi.spyOn(Hosts.prototype, 'some');
    onTestFinished(() => read.mockRestore());
    for (let n = 0; n < 3; n++) {
      rig.submitAll(hostIds.map((hostId) => finish(hostId, `job-${n}`, AT + n)));
    }
    expect(read).not.toHaveBeenCalled();
  });

  it('are read again if a write is undone to a savepoint after the same transaction has written the host', () => {
    const { engine, rig } = open();
    const hostId = rig.online('web');
    const note = (snapshotCount: number) =>
      applyReports(engine, [['repoStats', { hostId, snapshotCount }]], new Changes());
    engine.transaction(() => {
      note(1);
      expect(() =>
        engine.attempt(() => {
          note(2);
          throw new Error('undo');
        }),
      ).toThrow('undo');
    });
    expect(engine.host(hostId)?.snapshotCount).toBe(1);
    expect(loaded(engine, hostId)?.snapshotCount).toBe(1);
  });

  it('are read again if a host was changed while the batch waited for its lock', async () => {
    const { engine, rig } = open();
    const hostId = rig.online('web');
    expect(loaded(engine, hostId)?.snapshotCount).toBe(0);
    await lockUntilWaitedFor(url, 'UPDATE hosts SET snapshot_count = 7');
    expect(loaded(engine, hostId)?.snapshotCount).toBe(7);
  });

  unless(NO_PGBOUNCER).test(
    'are all read again, and followed, when pgbouncer continues with another server',
    async () => {
      const bouncer = await Pgbouncer.start(server.port, 'transaction');
      const { engine, rig } = open(bouncer.url(url));
      const hostId = rig.online('web');
      const promoted = server.copy(await freePort());
      try {
        // Both servers give the same id to different transactions.
        rig.submit('repoStats', { hostId, snapshotCount: 5 });
        await sleep(2 * engine.followEveryMs); // so it has read up to this id
        const xmin = 'SELECT xmin FROM hosts';
        const lost = server.sql(xmin, url);
        const there = promoted.url(new URL(url).pathname.slice(1));
        const change = `UPDATE hosts SET snapshot_count = 9;
          INSERT INTO host_changes (host_ids) SELECT array_agg(host_id) FROM hosts;`;
        do promoted.sql(`BEGIN; ${change} COMMIT;`, there);
        while (Number(promoted.sql(xmin, there)) < Number(lost));
        expect(promoted.sql(xmin, there)).toBe(lost);
        bouncer.use(promoted.port);
        await eventually(() => expect(rig.host('web')).toMatchObject({ snapshotCount: 9 }));
        expect(loaded(engine, hostId)?.snapshotCount).toBe(9);
      } finally {
        promoted.remove();
      }
    },
  );
});

const AGENT = { agentVersion: '1', hostname: 'x' };
const FULL_AGENT = {
  ...AGENT,
  resticVersion: '0.18',
  os: 'linux',
  arch: 'x64',
  bootTimeMs: AT - 1,
  backupIntervalSeconds: 3_600,
};

function job(hostId: string, jobId: string) {
  return { hostId, jobId, kind: 'backup', startedAtMs: AT } as const;
}

function finish(hostId: string, jobId: string, finishedAtMs: number): Operation {
  return ['finishJob', { ...job(hostId, jobId), status: 'failed', finishedAtMs }];
}
