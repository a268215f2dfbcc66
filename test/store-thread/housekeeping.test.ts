import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openDatabase, openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import type { HostChange } from '../../src/store-thread/sqlite/host-changes.ts';
import { temporaryDirectory } from '../support/serve.ts';
import { AT, StoreRig } from './store-rig.ts';

/** https://www.sqlite.org/rescode.html#ioerr */
const SQLITE_IOERR = 10;
const HOST_ID = '01J8ZQ4X3N0000000000000000';

/** SQLite on a disk that now and then cannot be read. */
class ServingEngine extends SqliteEngine {
  cannotRead = false;

  constructor(dataDir: string) {
    super(openDatabase(dataDir), dataDir, { serves: true, onForgottenJobs: () => {} });
  }

  override changesSince(seq: number): HostChange[] {
    if (this.cannotRead)
      throw Object.assign(new Error('disk I/O error'), { errcode: SQLITE_IOERR });
    return super.changesSince(seq);
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
  });

  it('is shown also when the server could not read it at first', () => {
    const engine = new ServingEngine(dataDir);
    const rig = new StoreRig(engine);
    rig.hello(HOST_ID);
    vi.advanceTimersByTime(100);
    engine.cannotRead = true;
    command.renameHost(HOST_ID, 'www');
    vi.advanceTimersByTime(200);
    expect(rig.shown).toMatchObject([{ host: 'web' }]);
    engine.cannotRead = false;
    vi.advanceTimersByTime(200);
    expect(rig.shown).toMatchObject([{ host: 'www' }]);
    expect(command.changesSince(0)).toEqual([]);
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
  expect(left()).toBe(1_100);
  vi.advanceTimersByTime(1_000);
  expect(left()).toBe(0);
  rig.close();
  engine.close();
  vi.useRealTimers();
});
