import { describe, expect, it } from 'vitest';
import { openDatabase } from '../../../src/store-thread/sqlite/database.ts';
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

it('a host that is removed takes its jobs and alerts with it: foreign keys are enforced', () => {
  expect(pragma('foreign_keys')).toBe(1);
});
