import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { StoreMessage } from '../../../src/contract/operations.ts';
import { type Shard, WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { Named } from '../../../src/store-thread/rows.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { ulidOf } from '../../support/ulid.ts';
import { AT, StoreRig } from '../store-rig.ts';
import { SLEEPING_DATABASE } from './sleeping-database.ts';

/** A change is visible after the next poll of the other instance. */
const A_POLL_MS = 300;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

unless(NO_POSTGRES).describe('two instances on one database', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let session: Session;
  let engines: PostgresEngine[];
  let here: StoreRig;
  let there: StoreRig;
  let url: string;
  let shared: Shard[];

  beforeEach(() => {
    url = server.createDatabase();
    shared = [];
    vi.useFakeTimers({ now: AT });
    session = new Session([url]);
    start();
  });

  afterEach(() => {
    stop();
    session.close();
    vi.useRealTimers();
  });

  function start(followEveryMs?: number): void {
    engines = [open(undefined, followEveryMs), open(undefined, followEveryMs)];
    [here, there] = engines.map((engine) => new StoreRig(engine)) as [StoreRig, StoreRig];
  }

  function stop(): void {
    here.close();
    there.close();
    for (const engine of engines) engine.close();
  }

  /** For tests of many minutes: four polls a second would take too long. */
  function pollSeldom(): void {
    stop();
    start(5 * SECOND);
  }

  function open(
    shard: Shard | undefined = WHOLE_FLEET,
    followEveryMs: number | undefined = undefined,
  ): PostgresEngine {
    return PostgresEngine.open(url, {
      serves: shard && { shard, onSharedShard: () => void shared.push(shard) },
      onForgottenJobs: () => {},
      now: () => Date.now(),
      followEveryMs,
    });
  }

  /** As a command has it: it does not serve. */
  function openForCommand(): PostgresEngine {
    return PostgresEngine.open(url, { serves: undefined, onForgottenJobs: () => {} });
  }

  function enrol(host: string): string {
    const hostId = here.enrol(host);
    vi.advanceTimersByTime(A_POLL_MS);
    return hostId;
  }

  const disconnects = (messages: readonly StoreMessage[]) =>
    messages.filter((message) => 'disconnect' in message);

  it('show what the other one accepts: hosts, finishes, names, presence, removals', () => {
    const hostId = enrol('web');
    expect(there.pending).toBe(1);
    expect(there.received()).toContainEqual({
      tokenChanges: { removed: [], added: [[hostId, expect.any(Uint8Array)]] },
    });
    here.hello(hostId);
    const job = { hostId, jobId: 'one', kind: 'backup', startedAtMs: AT - 5 } as const;
    here.submit('finishJob', { ...job, status: 'failed', finishedAtMs: AT });
    vi.advanceTimersByTime(A_POLL_MS);
    expect(there.host('web')).toMatchObject({
      online: true,
      lastBackup: { finishedAtMs: AT, succeeded: false },
      openAlerts: { warning: 1 },
    });
    expect(there.pending).toBe(0);
    here.submit('renameHost', { hostId, host: 'www' });
    vi.advanceTimersByTime(A_POLL_MS);
    expect(there.shown).toMatchObject([{ host: 'www', online: true }]);
    here.submit('removeHost', { hostId });
    vi.advanceTimersByTime(A_POLL_MS);
    expect(there.shown).toEqual([]);
    expect(there.received()).toContainEqual({ tokenChanges: { removed: [hostId], added: [] } });
    expect(there.submit('hello', { hostId, connection: 1, agent: AGENT })).toBe('gone');
  });

  it('count a finish once', () => {
    const hostId = enrol('web');
    const job = { hostId, jobId: 'one', kind: 'backup', startedAtMs: AT - 5 } as const;
    const finish = { ...job, status: 'succeeded', finishedAtMs: AT } as const;
    expect(here.submit('finishJob', finish)).toMatchObject({ first: true });
    expect(there.submit('finishJob', finish)).toEqual({ first: false });
    expect(there.submit('finishJob', { ...finish, status: 'failed' })).toBe('job_conflict');
  });

  it('leave a host to its newest connection, whichever instance has it', () => {
    const hostId = enrol('web');
    const older = here.hello(hostId);
    vi.advanceTimersByTime(A_POLL_MS);
    here.received();
    there.hello(hostId);
    vi.advanceTimersByTime(A_POLL_MS);
    expect(disconnects(here.received())).toEqual([
      { disconnect: { connection: older, reason: 'replaced' } },
    ]);
    here.submit('goodbye', { hostId, connection: older });
    vi.advanceTimersByTime(A_POLL_MS);
    for (const rig of [here, there]) expect(rig.host('web')?.online).toBe(true);
    expect(disconnects(there.received())).toEqual([]);
  });

  it('leave a host to its newest connection also if the older one reports before it is closed', () => {
    const hostId = enrol('web');
    const older = here.hello(hostId);
    vi.advanceTimersByTime(A_POLL_MS);
    expect(here.presence.connectionOf(hostId)).toBe(older);
    const newer = there.hello(hostId);
    here.submit('repoStats', { hostId, snapshotCount: 7 });
    expect(here.presence.connectionOf(hostId)).toBeUndefined();
    vi.advanceTimersByTime(A_POLL_MS);
    for (const rig of [here, there]) {
      expect(rig.host('web')).toMatchObject({ online: true, snapshotCount: 7 });
    }
    expect(disconnects(there.received())).toEqual([]);
    there.submit('goodbye', { hostId, connection: newer });
    vi.advanceTimersByTime(A_POLL_MS);
    for (const rig of [here, there]) expect(rig.host('web')?.online).toBe(false);
  });

  it('open one alert for a host that is away from both', () => {
    pollSeldom();
    const hostId = enrol('web');
    here.submit('goodbye', { hostId, connection: here.hello(hostId) });
    vi.advanceTimersByTime(16 * MINUTE);
    for (const rig of [here, there]) {
      expect(rig.host('web')).toMatchObject({ online: false, openAlerts: { warning: 1 } });
    }
    there.hello(hostId);
    vi.advanceTimersByTime(5 * SECOND);
    for (const rig of [here, there]) {
      expect(rig.host('web')).toMatchObject({ online: true, openAlerts: { warning: 0 } });
    }
  });

  it('do not take a host for silent that reports to the other one by HTTP', () => {
    pollSeldom();
    const hostId = enrol('cron');
    const agent = { ...AGENT, backupIntervalSeconds: 600 };
    here.submit('seen', { hostId, agent });
    vi.advanceTimersByTime(10 * MINUTE);
    expect(there.host('cron')).toMatchObject({ online: true, reportsByHttp: true });
    there.submit('seen', { hostId });
    vi.advanceTimersByTime(10 * MINUTE);
    for (const rig of [here, there]) expect(rig.host('cron')?.online).toBe(true);
    vi.advanceTimersByTime(2 * MINUTE);
    for (const rig of [here, there]) expect(rig.host('cron')?.online).toBe(false);
  });

  it('mark the hosts of an instance offline that was not seen for 30 s', () => {
    const hostId = enrol('web');
    here.hello(hostId);
    vi.advanceTimersByTime(31 * SECOND);
    here.close();
    expect(there.host('web')?.online).toBe(true);
    notSeenFor('31 seconds');
    vi.advanceTimersByTime(2 * SECOND);
    expect(there.host('web')?.online).toBe(false);
    expect(there.submit('listHosts', null)).toMatchObject([{ status: 'offline' }]);
    const [[offlineSince] = [0]] = session.rows<[number]>('SELECT offline_since FROM hosts');
    expect(Date.now() - offlineSince, 'its alert is due after 15 minutes').toBeLessThan(2 * SECOND);
    // An instance that is gone is not marked again and again: each restart leaves one.
    const version = () => session.rows('SELECT xmin FROM instances WHERE instance = 1');
    const marked = version();
    vi.advanceTimersByTime(3 * SECOND);
    expect(version()).toEqual(marked);
  });

  /** More hosts than one transaction marks offline, with connections to this instance. */
  function connectMany(instance: number): void {
    session.run(
      `INSERT INTO hosts (host_id, host, enrolled_at, status, instance, connection)
       SELECT lpad(n::text, 26, '0'), 'host-' || n, 0, 'online', ${instance}, n FROM generate_series(1, 2001) AS n`,
    );
  }

  const statuses = () => session.rows('SELECT DISTINCT status, instance, connection FROM hosts');

  it('mark all hosts offline of an instance that was not seen for 30 s, however many it had', () => {
    pollSeldom();
    vi.advanceTimersByTime(30 * SECOND);
    connectMany(1);
    notSeenFor('31 seconds');
    vi.advanceTimersByTime(10 * SECOND);
    expect(statuses()).toEqual([['offline', null, null]]);
  });

  it('mark all hosts offline at the start of one whose instance was not seen for 30 s or is forgotten, and no others', () => {
    here.online('cut off');
    there.online('kept');
    here.close();
    connectMany(99);
    notSeenFor('31 seconds');
    engines.push(open());
    here = new StoreRig(engines.at(-1) as PostgresEngine);
    expect(statuses().sort()).toEqual([
      ['offline', null, null],
      ['online', 2, 1],
    ]);
  });

  it('write at the same time, if they write different hosts', () => {
    const [one, two] = [enrol('one'), enrol('two')];
    const [engine] = engines as [PostgresEngine];
    const named = new Named();
    named.hostIds.add(one);
    engine.transaction(() => {
      engine.load(named);
      expect(there.submit('repoStats', { hostId: two, snapshotCount: 7 })).toBe('recorded');
    });
  });

  it('remember an instance for 30 days after its last sign, and not for ever', () => {
    session.run(
      `INSERT INTO instances (shard, shards, is_gone, seen_at)
       SELECT 7, 8, true, clock_timestamp() - days * interval '1 day' FROM unnest(ARRAY[29, 31]) AS days`,
    );
    here.close();
    notSeenFor('31 seconds');
    vi.advanceTimersByTime(31 * SECOND);
    expect(
      session.rows(
        'SELECT extract(day FROM clock_timestamp() - seen_at)::integer FROM instances WHERE shards = 8',
      ),
    ).toEqual([[29]]);
  });

  it('mark the hosts of an instance offline that was gone once, came back, and is gone again', () => {
    const hostId = enrol('web');
    here.hello(hostId);
    vi.advanceTimersByTime(31 * SECOND);
    session.run('UPDATE instances SET is_gone = true WHERE instance = 1');
    vi.advanceTimersByTime(11 * SECOND); // a heartbeat
    here.close();
    expect(there.host('web')?.online).toBe(true);
    notSeenFor('31 seconds');
    vi.advanceTimersByTime(2 * SECOND);
    expect(there.host('web')?.online).toBe(false);
  });

  it('do not take each other for gone right after an outage of the database', () => {
    const hostId = enrol('web');
    here.hello(hostId);
    vi.advanceTimersByTime(10 * SECOND);
    // Both have been unable to say that they live.
    vi.setSystemTime(AT + MINUTE);
    notSeenFor('60 seconds');
    there.close();
    engines.push(open());
    there = new StoreRig(engines.at(-1) as PostgresEngine);
    vi.advanceTimersByTime(11 * SECOND);
    expect(there.host('web')?.online).toBe(true);
  });

  it('do not take each other for gone after an outage, however long they ran before it', () => {
    stop();
    // So at each poll this instance itself has given no sign for more than 30 s, as after an outage.
    start(40 * SECOND);
    here.hello(here.enrol('web'));
    here.close();
    session.run("UPDATE instances SET seen_at = clock_timestamp() - interval '60 seconds'");
    vi.advanceTimersByTime(40 * SECOND);
    expect(session.rows('SELECT status FROM hosts')).toEqual([['online']]);
  });

  it('read everything if they have read nothing for so long that changes may be deleted', () => {
    const [removed, named] = [here.enrol('removed'), here.enrol('named')];
    stop();
    server.sql(SLEEPING_DATABASE, url);
    start(MINUTE + SECOND);
    const added = here.online('added');
    here.submit('removeHost', { hostId: removed });
    here.submit('renameHost', { hostId: named, host: 'renamed' });
    session.run('DELETE FROM host_changes');
    session.run("UPDATE slept SET time = interval '61 seconds'");
    vi.advanceTimersByTime(MINUTE + SECOND);
    expect(there.host('added')?.online).toBe(true);
    expect(there.received()).toContainEqual({
      tokenChanges: { removed: [removed], added: [[added, expect.any(Uint8Array)]] },
    });
    expect(there.pending).toBe(1);
    expect(there.submit('listHosts', null)).toMatchObject([{ host: 'renamed' }, { host: 'added' }]);
  });

  it('mark a host online again that another one took for gone, if its connection still exists', () => {
    const hostId = enrol('web');
    const connection = here.hello(hostId);
    vi.advanceTimersByTime(31 * SECOND);
    here.received();
    notSeenFor('31 seconds');
    vi.advanceTimersByTime(9 * SECOND);
    expect(session.rows('SELECT status, connection FROM hosts')).toEqual([['online', connection]]);
    for (const rig of [here, there]) expect(rig.host('web')?.online).toBe(true);
    expect(disconnects(here.received())).toEqual([]);
  });

  it('are told that they show the same hosts, but not after a restart', () => {
    vi.advanceTimersByTime(9 * SECOND);
    expect(shared).toEqual([]);
    vi.advanceTimersByTime(2 * SECOND);
    expect(shared).toEqual([WHOLE_FLEET, WHOLE_FLEET]);
    stop();
    shared = [];
    // Time passes for the database, too: the earlier instances were last seen before these start.
    const [first, second] = [open({ index: 0, count: 2 }), open({ index: 1, count: 2 })];
    // As while the number of shards changes: its hosts are others, although its number is the same.
    const resharded = open({ index: 0, count: 3 });
    engines = [first, second, resharded];
    [here, there] = [new StoreRig(first), new StoreRig(second)];
    vi.advanceTimersByTime(21 * SECOND);
    expect(shared).toEqual([]);
    here.close();
    const successor = open({ index: 0, count: 2 });
    engines.push(successor);
    here = new StoreRig(successor);
    vi.advanceTimersByTime(21 * SECOND);
    expect(shared).toEqual([]);
  });

  it('miss no commit, in whatever order transactions end', () => {
    const [slow, fast] = [enrol('slow'), enrol('fast')];
    const command = openForCommand();
    const digest = Buffer.alloc(32, 7);
    command.transaction(() => {
      command.renameHost(slow, 'slow-2');
      command.replaceToken(slow, digest);
      for (const rig of [here, there]) rig.hello(fast);
      vi.advanceTimersByTime(A_POLL_MS);
      expect(there.shown).toMatchObject([{ host: 'fast' }]);
    });
    command.close();
    vi.advanceTimersByTime(A_POLL_MS);
    for (const engine of engines) expect(engine.hostOfToken(digest)).toBe(slow);
    for (const rig of [here, there]) {
      expect(rig.submit('listHosts', null).map(({ host }) => host)).toEqual(['slow-2', 'fast']);
      rig.submit('hello', { hostId: slow, connection: 99, agent: AGENT });
    }
    vi.advanceTimersByTime(A_POLL_MS);
    for (const rig of [here, there]) expect(rig.host('slow-2')?.online).toBe(true);
  });

  it('apply what a command does, which waits until they have', () => {
    const command = openForCommand();
    const hostId = enrol('web');
    here.hello(hostId);
    command.transaction(() => command.renameHost(hostId, 'www'));
    expect(command.areChangesApplied()).toBe(false);
    vi.advanceTimersByTime(SECOND / 2);
    expect(command.areChangesApplied(), 'a poll may be late').toBe(false);
    vi.advanceTimersByTime(SECOND / 2);
    expect(command.areChangesApplied()).toBe(true);
    for (const rig of [here, there]) expect(rig.host('www')).toBeDefined();
    command.close();
  });

  it('apply a new token that a command has given a host, and not the one before', () => {
    const hostId = enrol('web');
    const connection = here.hello(hostId);
    here.received();
    const command = openForCommand();
    const digest = Buffer.alloc(32, 7);
    command.transaction(() => command.replaceToken(hostId, digest));
    command.close();
    vi.advanceTimersByTime(A_POLL_MS);
    for (const engine of engines) {
      expect(engine.enrolled()).toEqual([[hostId, digest]]);
      expect(engine.hostOfToken(digest)).toBe(hostId);
    }
    expect(disconnects(here.received())).toEqual([
      { disconnect: { connection, reason: 'token_replaced' } },
    ]);
  });

  it('are not waited for by a command when none of them was seen for 30 s', () => {
    const command = openForCommand();
    const add = (n: number) =>
      command.transaction(() =>
        command.addHosts([{ hostId: ulidOf(n), host: `${n}`, tokenDigest: Buffer.alloc(32, n) }]),
      );
    session.run("UPDATE instances SET seen_at = clock_timestamp() - interval '15 seconds'");
    add(1);
    expect([command.isServed(), command.areChangesApplied()]).toEqual([true, false]);
    session.run("UPDATE instances SET seen_at = clock_timestamp() - interval '31 seconds'");
    add(2);
    expect([command.isServed(), command.areChangesApplied()]).toEqual([false, true]);
    command.close();
  });

  /** Takes back the last heartbeat of the first instance. */
  function notSeenFor(time: string): void {
    session.run(
      `UPDATE instances SET seen_at = clock_timestamp() - interval '${time}' WHERE instance = 1`,
    );
  }
});

const AGENT = { agentVersion: '1', hostname: 'x' };
