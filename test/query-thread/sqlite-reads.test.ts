import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { SqliteReads } from '../../src/query-thread/sqlite-reads.ts';
import { openDatabase } from '../../src/store-thread/sqlite/database.ts';
import { temporaryDirectory } from '../support/serve.ts';

function withReads(): { dataDir: string; reads: SqliteReads } {
  const dataDir = temporaryDirectory();
  const reads = new SqliteReads(dataDir);
  onTestFinished(() => reads.close());
  return { dataDir, reads };
}

it('a database that is missing is not created by a read', async () => {
  const { dataDir, reads } = withReads();
  await expect(reads.running()).rejects.toMatchObject({ code: 'api_failed' });
  expect(existsSync(join(dataDir, 'fleet.db'))).toBe(false);
});

it('a read that fails does not make the next ones fail', async () => {
  const { dataDir, reads } = withReads();
  openDatabase(dataDir).close();
  expect(await reads.running()).toEqual(new Map());
  const db = new DatabaseSync(join(dataDir, 'fleet.db'));
  onTestFinished(() => db.close());
  db.exec('ALTER TABLE jobs RENAME TO gone');
  for (const read of [() => reads.running(), () => reads.history('a')]) {
    await expect(read()).rejects.toMatchObject({
      code: 'api_failed',
      message: expect.stringMatching(/^SQLite: .*jobs/),
    });
  }
  db.exec('ALTER TABLE gone RENAME TO jobs');
  expect(await reads.running()).toEqual(new Map());
  expect(await reads.history('a')).toEqual({ alerts: [], jobs: [] });
});
