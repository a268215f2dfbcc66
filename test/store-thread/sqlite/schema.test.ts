import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { Changes } from '../../../src/store-thread/changes.ts';
import { applyReports } from '../../../src/store-thread/reports.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { MIGRATIONS } from '../../../src/store-thread/sqlite/schema.ts';

const AT = Date.UTC(2026, 0, 2);

/** A database as an earlier version left it, brought up to date. */
function migrated(fromVersion: number, fill: (db: DatabaseSync) => void): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA foreign_keys = ON');
  for (const migration of MIGRATIONS.slice(0, fromVersion)) db.exec(migration);
  fill(db);
  for (const migration of MIGRATIONS.slice(fromVersion)) db.exec(migration);
  return db;
}

test.each([1, 2])(
  'a database of schema version %i keeps its jobs and what they mean',
  (version) => {
    const db = migrated(version, (db) => {
      db.exec(
        "INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES ('a', 'a', x'00', 0)",
      );
      const insert = db.prepare(
        `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, exit_code, error, recorded_at)
       VALUES ('a', ?, ?, ?, ?, ?, ?, ?, ?)`,
      );
      insert.run('z-first', 'check', AT, 'succeeded', AT + 5_000, 0, null, AT + 1);
      insert.run('a-second', 'check', AT, 'cancelled', AT + 9_000, 130, 'stopped', AT + 2);
      insert.run('m-third', 'backup', AT, null, null, null, null, AT + 3);
    });
    const { last_check_success_at: checked } =
      db.prepare('SELECT last_check_success_at FROM hosts').get() ?? {};
    expect(checked, 'not the cancelled one').toBe(AT + 5_000);
    const columns = 'job_id, kind, started_at, status, finished_at, exit_code, error, recorded_at';
    const rows = db.prepare(`SELECT ${columns} FROM jobs ORDER BY seq`).all();
    expect(rows.map((row) => Object.values(row))).toEqual([
      ['z-first', 'check', AT, 'succeeded', AT + 5_000, 0, null, AT + 1],
      ['a-second', 'check', AT, 'cancelled', AT + 9_000, 130, 'stopped', AT + 2],
      ['m-third', 'backup', AT, null, null, null, null, AT + 3],
    ]);

    const engine = new SqliteEngine(db, undefined, { serves: true, onForgottenJobs: () => {} });
    const fails = (jobId: string, finishedAtMs: number) => {
      const check = { hostId: 'a', kind: 'check', startedAtMs: AT, status: 'failed' } as const;
      const changes = new Changes();
      const [answer] = applyReports(
        engine,
        [['finishJob', { ...check, jobId, finishedAtMs }]],
        changes,
      );
      return answer;
    };
    expect(fails('z-first', AT), 'it succeeded').toBe('job_conflict');
    fails('earlier', AT + 4_999);
    expect(db.prepare('SELECT * FROM alerts').all(), 'a later check succeeded').toEqual([]);
    fails('later', AT + 5_001);
    expect(db.prepare('SELECT kind FROM alerts').all()).toEqual([{ kind: 'check_failed' }]);

    db.exec("DELETE FROM hosts WHERE host_id = 'a'");
    expect(db.prepare('SELECT count(*) AS n FROM jobs').get(), 'go with their host').toEqual({
      n: 0,
    });
  },
);

test.each([1, 2])(
  'of schema version %i the last finish of each kind counts, and no cancelled one',
  (version) => {
    const db = migrated(version, (db) => {
      db.exec(
        "INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES ('a', 'a', x'00', 0)",
      );
      const insert = db.prepare(
        `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at)
       VALUES ('a', ?, ?, 0, ?, ?, 0)`,
      );
      for (const kind of ['backup', 'check', 'diff', 'forget', 'init', 'prune']) {
        insert.run(`${kind}-1`, kind, 'succeeded', AT);
        insert.run(`${kind}-2`, kind, 'failed', AT + 1);
        insert.run(`${kind}-3`, kind, 'cancelled', AT + 2);
      }
    });
    const rows = db.prepare('SELECT kind, finished_at FROM last_finishes ORDER BY kind').all();
    expect(rows.map((row) => Object.values(row))).toEqual([
      ['check', AT + 1],
      ['forget', AT + 1],
      ['init', AT + 1],
      ['prune', AT + 1],
    ]);
  },
);

test('of schema version 3 the last backup has its duration, and the last success its time', () => {
  const db = migrated(3, (db) => {
    const host = db.prepare(
      `INSERT INTO hosts (host_id, host, token_digest, enrolled_at, last_backup_at, last_backup_ok)
       VALUES (?, ?, ?, 0, ?, ?)`,
    );
    const job = db.prepare(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at)
       VALUES (?, ?, ?, ?, ?, ?, 0)`,
    );
    host.run('failed', 'failed', Buffer.from('failed'), AT, 0);
    job.run('failed', '0', 'check', AT - 7_000, 'succeeded', AT);
    job.run('failed', '1', 'backup', AT - 2_000, 'failed', AT);
    job.run('failed', '2', 'backup', AT - 9_000, 'succeeded', AT - 5_000);
    host.run('backwards', 'backwards', Buffer.from('backwards'), AT, 1);
    job.run('backwards', '1', 'backup', AT + 3_000, 'succeeded', AT);
    host.run('forgotten', 'forgotten', Buffer.from('forgotten'), AT, 1);
    job.run('forgotten', '1', 'backup', AT - 9_000, 'succeeded', AT - 5_000);
  });
  const rows = db
    .prepare('SELECT host_id, last_backup_duration_ms, last_backup_success_at FROM hosts')
    .all();
  expect(rows.map((row) => Object.values(row)).sort()).toEqual([
    ['backwards', 0, AT],
    ['failed', 2_000, AT - 5_000],
    ['forgotten', null, AT],
  ]);
});

test('a host of schema version 3 keeps the time of its last success, although its jobs were forgotten', () => {
  const db = migrated(3, (db) => {
    const insert = db.prepare(
      `INSERT INTO hosts (host_id, host, token_digest, enrolled_at, last_backup_at, last_backup_ok)
       VALUES (?, ?, ?, 0, ?, ?)`,
    );
    insert.run('good', 'good', Buffer.from('good'), AT, 1);
    insert.run('bad', 'bad', Buffer.from('bad'), AT, 0);
    insert.run('new', 'new', Buffer.from('new'), null, null);
  });
  const rows = db.prepare('SELECT host_id, last_backup_success_at AS at FROM hosts').all();
  expect(Object.fromEntries(rows.map(({ host_id, at }) => [host_id, at]))).toEqual({
    good: AT,
    bad: null,
    new: null,
  });
});
