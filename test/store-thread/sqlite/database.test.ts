import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { RmError } from '../../../src/errors.ts';
import {
  describeError,
  failureKind,
  isBeingServed,
  lockForServing,
  openDatabase,
  openInMemory,
  transaction,
} from '../../../src/store-thread/sqlite/database.ts';
import { DatabaseFiles, protectFiles } from '../../../src/store-thread/sqlite/database-files.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { MIGRATIONS } from '../../../src/store-thread/sqlite/schema.ts';
import { temporaryDirectory } from '../../support/serve.ts';

/** What SQLite itself says of the connection that the store writes by. */
function pragma(name: string): unknown {
  const db = openDatabase(temporaryDirectory());
  const row = db.prepare(`PRAGMA ${name}`).get();
  db.close();
  return Object.values(row ?? {})[0];
}

describe('what is committed survives', () => {
  it('a killed process: it is in a write-ahead log', () => {
    expect(pragma('journal_mode')).toBe('wal');
  });

  // With less than FULL a commit returns before it is on disk: https://www.sqlite.org/pragma.html#pragma_synchronous
  it('a power cut: each commit is an fsync', () => {
    const FULL = 2;
    expect(pragma('synchronous')).toBe(FULL);
  });
});

it('a new data directory is only for its user', () => {
  const directory = join(temporaryDirectory(), 'new');
  openDatabase(directory).close();
  expect(statSync(directory).mode & 0o777).toBe(0o700);
});

it('a host that is removed takes its jobs and alerts with it: foreign keys are enforced', () => {
  expect(pragma('foreign_keys')).toBe(1);
});

// https://www.sqlite.org/rescode.html
it.each([
  [5, 'locked'],
  [6, 'locked'],
  [517, 'locked'], // BUSY_SNAPSHOT: the upper bits are details
  [1, 'operation'],
  [12, 'operation'],
  [18, 'operation'],
  [19, 'operation'],
  [1_555, 'operation'], // CONSTRAINT_PRIMARYKEY
  [20, 'operation'],
  [25, 'operation'],
  [8, 'unavailable'],
  [10, 'unavailable'],
  [11, 'unavailable'],
  [13, 'unavailable'],
  [14, 'unavailable'],
])('an error of SQLite with the code %i means: %s', (errcode, kind) => {
  expect(failureKind(Object.assign(new Error('x'), { errcode }))).toBe(kind);
});

it('an error of this program concerns one operation', () => {
  expect(failureKind(new RmError('invalid_host', 'x'))).toBe('operation');
});

it('whether a control plane serves the database is known at once', () => {
  const dataDir = temporaryDirectory();
  expect(isBeingServed(dataDir)).toBe(false);
  expect(existsSync(join(dataDir, 'serve.lock')), 'nothing is written for that').toBe(false);
  const lock = lockForServing(dataDir);
  const startedAt = performance.now();
  expect(isBeingServed(dataDir)).toBe(true);
  // Each command asks for it. A wait for the lock would take as long as SQLite's time limit: seconds.
  expect(performance.now() - startedAt).toBeLessThan(900);
  lock.close();
  expect(isBeingServed(dataDir)).toBe(false);
});

it('a control plane that has closed its database lets the next one serve it', () => {
  const dataDir = temporaryDirectory();
  const open = () => SqliteEngine.open(dataDir, { serves: true, onForgottenJobs: () => {} });
  const first = open();
  expect(open).toThrow('another restic-manager serves this data directory');
  first.close();
  expect(isBeingServed(dataDir)).toBe(false);
  open().close();
});

it('a database of a newer version is neither changed nor used', () => {
  const dataDir = temporaryDirectory();
  const version = MIGRATIONS.length + 1;
  const db = openDatabase(dataDir);
  db.exec(`PRAGMA user_version = ${version}`);
  db.close();
  expect(() => openDatabase(dataDir)).toThrow(
    expect.objectContaining({
      code: 'database_too_new',
      message: expect.stringContaining(`has schema version ${version}`),
    }),
  );
  const read = new DatabaseSync(join(dataDir, 'fleet.db'));
  expect(read.prepare('PRAGMA user_version').get()).toEqual({ user_version: version });
  read.close();
});

it('a transaction keeps other processes from writing before it has written itself', () => {
  const dataDir = temporaryDirectory();
  const [db, other] = [openDatabase(dataDir), openDatabase(dataDir)];
  other.exec('PRAGMA busy_timeout = 0');
  transaction(db, () => {
    db.prepare('SELECT * FROM hosts').all();
    expect(() => other.exec('DELETE FROM hosts')).toThrow('database is locked');
  });
  other.close();
  db.close();
});

it('an error of SQLite is told as one, with its own words, and as nothing but that', () => {
  const error = Object.assign(new Error('database or disk is full'), { errcode: 13 });
  expect(describeError(error)).toEqual({
    code: 'database_failed',
    message: 'SQLite: database or disk is full',
  });
  const refused = new RmError('invalid_host', 'the name is empty');
  expect(describeError(refused)).toEqual({ code: 'invalid_host', message: 'the name is empty' });
});

describe('a full disk', () => {
  /** A database that cannot grow any more: https://www.sqlite.org/pragma.html#pragma_max_page_count */
  function fullEngine(): { engine: SqliteEngine; write: () => void; hosts: () => unknown } {
    const db = openInMemory();
    const engine = new SqliteEngine(db, undefined, { serves: true, onForgottenJobs: () => {} });
    const { page_count: pages } = db.prepare('PRAGMA page_count').get() ?? {};
    db.exec(`PRAGMA max_page_count = ${pages}`);
    let hosts = 0;
    const write = () => engine.addHost(`${++hosts}`, 'x'.repeat(10_000), Buffer.from(`${hosts}`));
    return { engine, write, hosts: () => db.prepare('SELECT count(*) AS n FROM hosts').get()?.n };
  }

  it.each<[string, (engine: SqliteEngine, write: () => void) => void]>([
    ['in a transaction', (engine, write) => engine.transaction(write)],
    ['in a savepoint', (engine, write) => engine.transaction(() => engine.attempt(write))],
  ])(
    'is recognized as one, nothing is stored, and the next transaction can begin: %s',
    (_, run) => {
      const { engine, write, hosts } = fullEngine();
      for (let time = 0; time < 2; time++) {
        let error: unknown;
        try {
          run(engine, write);
        } catch (thrown) {
          error = thrown;
        }
        expect(engine.failure(error)).toMatchObject({
          kind: 'unavailable',
          message: expect.stringContaining('full'),
        });
      }
      expect(hosts()).toBe(0);
      engine.close();
    },
  );
});

describe('the files of a database', () => {
  const FILES = ['fleet.db', 'fleet.db-wal', 'fleet.db-shm', 'serve.lock'];

  it.each(FILES)('that were open to others are no more: %s', (name) => {
    const dataDir = temporaryDirectory();
    const engine = SqliteEngine.open(dataDir, { serves: true, onForgottenJobs: () => {} });
    chmodSync(join(dataDir, name), 0o644);
    expect(protectFiles(dataDir)).toEqual([]);
    expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600);
    engine.close();
  });

  it('that cannot be closed to others are named in a warning, which is no reason not to start', () => {
    const dataDir = temporaryDirectory();
    // Nobody may change the mode of this file, not even root.
    symlinkSync('/proc/self/status', join(dataDir, 'fleet.db'));
    expect(protectFiles(dataDir)).toEqual([
      expect.stringMatching(/^\/.*fleet\.db: other users can read it, and chmod failed: .*EPERM/),
    ]);
  });

  it('are not gone because a directory above them was closed to this user', () => {
    const parent = temporaryDirectory();
    const dataDir = join(parent, 'data');
    mkdirSync(dataDir);
    chmodSync(parent, 0o755);
    chmodSync(dataDir, 0o755);
    const engine = SqliteEngine.open(dataDir, { serves: true, onForgottenJobs: () => {} });
    const files = new DatabaseFiles(dataDir);
    asOrdinaryUser(() => {
      expect(files.changed()).toBeUndefined();
      chmodAsOwner(parent, 0o000);
      expect(files.changed()).toBeUndefined();
    });
    chmodSync(parent, 0o700);
    expect(files.changed()).toBeUndefined();
    engine.close();
  });
});

const NOBODY = 65_534;

/** Root may enter every directory, so another user tries it then. */
function asOrdinaryUser(work: () => void): void {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    work();
  } finally {
    process.seteuid?.(0);
  }
}

function chmodAsOwner(path: string, mode: number): void {
  const user = process.geteuid?.() ?? 0;
  if (user === NOBODY) process.seteuid?.(0);
  chmodSync(path, mode);
  if (user === NOBODY) process.seteuid?.(NOBODY);
}
