import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RmError } from '../../../src/errors.ts';
import {
  failureKind,
  isBeingServed,
  lockForServing,
  openDatabase,
} from '../../../src/store-thread/sqlite/database.ts';
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
  const lock = lockForServing(dataDir);
  const startedAt = performance.now();
  expect(isBeingServed(dataDir)).toBe(true);
  // Each command asks for it. A wait for the lock would take as long as SQLite's time limit: seconds.
  expect(performance.now() - startedAt).toBeLessThan(900);
  lock.close();
  expect(isBeingServed(dataDir)).toBe(false);
});
