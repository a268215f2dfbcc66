import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Operation } from '../../src/contract/operations.ts';
import { openDatabase, openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import type { HostChange } from '../../src/store-thread/sqlite/host-changes.ts';
import { temporaryDirectory } from '../support/serve.ts';
import { OFFLINE } from './rules/record.ts';
import { AT, StoreRig } from './store-rig.ts';

/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const HOST_ID = '01J8ZQ4X3N0000000000000000';

/** SQLite on a disk that now and then cannot be read. */
class ServingEngine extends SqliteEngine {
  /** What happens when it is read now. */
  readError: Error | undefined;

  constructor(dataDir: string) {
    super(openDatabase(dataDir), dataDir, { serves: true, onForgottenJobs: () => {} });
  }

  override changesSince(seq: number): HostChange[] {
    if (this.readError !== undefined) throw this.readError;
    return super.changesSince(seq);
  }
}

function failed(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { errcode });
}

/** SQLite in memory that counts its transactions, and whose disk can be full. */
class CountingEngine extends SqliteEngine {
  isFull = false;
  transactions = 0;

  constructor(db = openInMemory()) {
    super(db, undefined, { serves: true, onForgottenJobs: () => {} });
  }

  override transaction<T>(work: () => T): T {
    this.transactions++;
    if (this.isFull) throw failed(SQLITE_FULL, 'database or disk is full');
    return super.transaction(work);
  }
}

describe('what a command changes', () => {
  let dataDir: string;
  /** As a command has it: it does not serve. */
  let command: SqliteEngine;

  beforeEach(() => {
    vi.useFakeTimers({ now: AT });
    dataDir = temporaryDirectory();
    command = SqliteEngine.open(dataDir, { serves: false, onForgottenJobs: () => {} });
    command.addHost(HOST_ID, 'web', Buffer.from('digest'));
  });

  afterEach(() => {
    command.close();
    vi.useRealTimers();
  });

  // Else the next command would wait for a server to read what it has read long ago.
  it('without a server is known to the server that starts then', () => {
    const engine = new ServingEngine(dataDir);
    const rig = new StoreRig(engine);
    expect(rig.submit('listHosts', null)).toMatchObject([{ host: 'web', status: 'pending' }]);
    expect(command.changesSince(0)).toEqual([]);
    rig.close();
    engine.close();
    // The number of a change is never used again.
    command.renameHost(HOST_ID, 'www');
    const next = new ServingEngine(dataDir);
    const nextRig = new StoreRig(next);
    expect(nextRig.submit('listHosts', null)).toMatchObject([{ host: 'www' }]);
    expect(command.changesSince(0)).toEqual([]);
    nextRig.close();
    next.close();
  });

  it.each<[string, Error, string[]]>([
    [
      'because of the disk',
      failed(SQLITE_IOERR, 'disk I/O error'),
      ['the database cannot be written', 'the database can be written again'],
    ],
    ['because of a lock', failed(SQLITE_BUSY, 'database is locked'), []],
    ['because of a defect', new TypeError('x'), ['an operation failed unexpectedly']],
  ])('is shown also when the server could not read it at first, %s', (_, error, logged) => {
    const engine = new ServingEngine(dataDir);
    const rig = new StoreRig(engine);
    rig.hello(HOST_ID);
    vi.advanceTimersByTime(100);
    engine.readError = error;
    command.renameHost(HOST_ID, 'www');
    vi.advanceTimersByTime(200);
    expect(rig.shown).toMatchObject([{ host: 'web' }]);
    engine.readError = undefined;
    vi.advanceTimersByTime(200);
    expect(rig.shown).toMatchObject([{ host: 'www' }]);
    expect(command.changesSince(0)).toEqual([]);
    expect(rig.logged).toEqual(logged);
    rig.close();
    engine.close();
  });
});

it('many old jobs are forgotten within a second, in steps between which others get in', () => {
  vi.useFakeTimers({ now: AT });
  const db = openInMemory();
  const engine = new SqliteEngine(db, undefined, { serves: true, onForgottenJobs: () => {} });
  engine.addHost(HOST_ID, 'web', Buffer.from('digest'));
  db.exec(`INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1600)
    SELECT '${HOST_ID}', n, 'check', 0, 0 FROM numbers`);
  const left = () => db.prepare('SELECT count(*) AS jobs FROM jobs').get()?.jobs;
  const rig = new StoreRig(engine);
  vi.advanceTimersByTime(90);
  expect(left()).toBe(1_100);
  vi.advanceTimersByTime(910);
  expect(left()).toBe(0);
  rig.close();
  engine.close();
  vi.useRealTimers();
});

describe('a server', () => {
  let engine: CountingEngine;
  let rig: StoreRig;

  beforeEach(() => {
    vi.useFakeTimers({ now: AT });
    engine = new CountingEngine();
    rig = new StoreRig(engine);
  });

  afterEach(() => {
    rig.close();
    engine.close();
    vi.useRealTimers();
  });

  /** Some hosts that report by HTTP, and some that were connected and have left. */
  function silentAndGone(count: number): void {
    const hosts = Array.from({ length: 2 * count }, (_, n) => `host-${n}`);
    const agent = { agentVersion: '1', hostname: 'x', backupIntervalSeconds: 600 };
    const reports = rig.submit('addHosts', { hosts }).flatMap(({ hostId }, n): Operation[] =>
      n < count
        ? [['seen', { hostId, agent }]]
        : [
            ['hello', { hostId, connection: n, agent }],
            ['goodbye', { hostId, connection: n }],
          ],
    );
    rig.submitAll(reports);
  }

  it('marks hosts online again that another instance has marked offline, when it can write', () => {
    const hosts = Array.from({ length: 600 }, (_, n) => `host-${n}`);
    const added = rig.submit('addHosts', { hosts });
    const agent = { agentVersion: '1', hostname: 'x' };
    rig.submitAll(added.map(({ hostId }, n) => ['hello', { hostId, connection: n, agent }]));
    for (const { hostId } of added) rig.presence.follow({ ...OFFLINE, hostId }, AT);
    const left = () => rig.presence.toResume(1_000).length;
    engine.isFull = true;
    vi.advanceTimersByTime(engine.followEveryMs);
    expect(left()).toBe(600);
    engine.isFull = false;
    vi.advanceTimersByTime(engine.followEveryMs);
    expect(left()).toBe(100);
    vi.advanceTimersByTime(engine.followEveryMs);
    expect(left()).toBe(0);
  });

  it('that has nothing to do writes nothing', () => {
    rig.online('web');
    engine.transactions = 0;
    vi.advanceTimersByTime(50 * SECOND);
    expect(engine.transactions).toBe(0);
  });

  it('that cannot write tries to mark hosts as silent and to open alerts only every 5 s', () => {
    silentAndGone(500);
    vi.advanceTimersByTime(10 * MINUTE);
    engine.isFull = true;
    vi.advanceTimersByTime(6 * MINUTE);
    engine.transactions = 0;
    vi.advanceTimersByTime(50 * SECOND);
    expect(engine.transactions).toBeGreaterThan(10);
    expect(engine.transactions).toBeLessThan(30);
    expect(rig.logged).toEqual(['the database cannot be written']);
  });

  it.each([
    ['forgets jobs', 0],
    ['marks hosts as silent', 11 * MINUTE],
    ['opens alerts', 15 * MINUTE + 5 * SECOND],
  ])('that is closed while it %s leaves no timer behind', (_, at) => {
    silentAndGone(501);
    vi.advanceTimersByTime(at);
    rig.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has stored its clock right after its start, so that the next one knows it', () => {
    expect(engine.clock()).toBe(AT);
  });

  it('that starts while the clock is 40 days ahead forgets no job because of that', () => {
    const hostId = rig.online('web');
    const job = { hostId, jobId: 'once', kind: 'check', startedAtMs: AT } as const;
    const finish = { ...job, status: 'succeeded', finishedAtMs: AT } as const;
    rig.submit('finishJob', finish);
    rig.close();
    vi.setSystemTime(AT + 40 * DAY);
    rig = new StoreRig(engine);
    vi.advanceTimersByTime(5 * MINUTE);
    expect(rig.submit('finishJob', finish)).toEqual({ first: false });
  });
});
