import type { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { importFleet } from '../../../src/store-thread/import/import-fleet.ts';
import { migrate } from '../../../src/store-thread/postgres/schema.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { openInMemory } from '../../../src/store-thread/sqlite/database.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';

const NOW = Date.UTC(2026, 0, 2);

/** Columns that only SQLite has: the order of the reports, a connection of the server that ran, and what other tables have. */
const LEFT_OUT = ['seq', 'connection', 'token_digest'];
/** Values of columns that do not admit every one. */
const VALUES: Readonly<Record<string, string | number>> = {
  host_id: 'a',
  job_id: 'j',
  status: 'offline',
  repo_status: 'ready',
  last_backup_ok: 1,
};

unless(NO_POSTGRES).describe('the import of a fleet', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let from: DatabaseSync;
  let to: Session;
  let url: string;

  beforeEach(() => {
    from = openInMemory();
    url = server.createDatabase();
    to = new Session([url]);
    migrate(to, 'place', 'create');
    onTestFinished(() => {
      to.close();
      from.close();
    });
  });

  const importAll = () => importFleet(from, to, 'place', NOW);

  /** Adds a row that has a value in every column. @returns the row */
  function addFullRow(table: 'hosts' | 'jobs'): Record<string, unknown> {
    const columns = from.prepare(`SELECT name, type FROM pragma_table_info('${table}')`).all();
    const values = columns.map(({ name, type }, index) => {
      if (type === 'BLOB') return Buffer.alloc(32, index);
      return VALUES[String(name)] ?? (type === 'TEXT' ? `${name} 1` : NOW + index);
    });
    from
      .prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?').join(', ')})`)
      .run(...values);
    return Object.fromEntries(columns.map(({ name }, index) => [name, values[index]]));
  }

  /** Rows as PostgreSQL has them. */
  function stored(table: string): Record<string, unknown>[] {
    return to
      .rows<[Record<string, unknown>]>(`SELECT to_json(t) FROM ${table} t`)
      .map(([row]) => row);
  }

  it('leaves out nothing that SQLite has stored', () => {
    const [host, job] = [addFullRow('hosts'), addFullRow('jobs')];
    // PostgreSQL sorts the keys of JSON in another way than SQLite.
    const times = { agent_offline: NOW + 1, init_failed: NOW + 2 };
    from.exec(
      `INSERT INTO alerts VALUES ('a', 'init_failed', 'critical', ${NOW + 2}), ('a', 'agent_offline', 'warning', ${NOW + 1});
       INSERT INTO last_finishes VALUES ('a', 'forget', ${NOW + 3}), ('a', 'prune', ${NOW + 4}), ('a', 'check_success', 5);
       INSERT INTO clock VALUES (1, ${NOW - 7})`,
    );
    expect(importAll()).toEqual({ hosts: 1, jobs: 1, alerts: 2 });
    for (const [table, row] of Object.entries({ hosts: host, jobs: job })) {
      const [found = {}] = stored(table);
      for (const [column, value] of Object.entries(row)) {
        if (LEFT_OUT.includes(column)) continue;
        expect(found[column], column).toBe(column === 'last_backup_ok' ? true : value);
      }
    }
    expect(stored('hosts')).toMatchObject([
      { alerts: times, last_finishes: { forget: NOW + 3, prune: NOW + 4, check_success: 5 } },
    ]);
    expect(to.rows('SELECT host_id, token_digest FROM tokens')).toEqual([
      ['a', new Uint8Array(host.token_digest as Buffer)],
    ]);
    expect(to.rows('SELECT at FROM clock')).toEqual([[NOW - 7]]);
  });

  it('copies more rows than one statement writes, each once', () => {
    addFullRow('hosts');
    from.exec(
      `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 2001)
       INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at) SELECT 'a', 'job-' || n, 'check', 1, 1 FROM n`,
    );
    expect(importAll()).toEqual({ hosts: 1, jobs: 2001, alerts: 0 });
  });

  it.each([
    ['changes a row', 'BEFORE', "NEW.error := 'other'; RETURN NEW", /^jobs: \["a","j"\] differs/],
    [
      'drops a row',
      'BEFORE',
      'RETURN NULL',
      /^jobs: \["a","j"\] differs from the row that was read/,
    ],
    [
      'adds a row',
      'AFTER',
      `IF pg_trigger_depth() = 1 THEN INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at)
         VALUES ('a', 'other', 'check', 1, 1); END IF; RETURN NULL`,
      /^jobs: 1 rows were read, but 2 were stored; nothing was imported$/,
    ],
  ])('stores nothing if the database %s', (_, when, work, message) => {
    addFullRow('hosts');
    addFullRow('jobs');
    server.sql(
      `CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${work}; END $$;
       CREATE TRIGGER interfere ${when} INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION interfere()`,
      url,
    );
    expect(importAll).toThrow(
      expect.objectContaining({ code: 'import_failed', message: expect.stringMatching(message) }),
    );
    expect([stored('hosts'), stored('tokens'), stored('jobs')]).toEqual([[], [], []]);
  });

  it('keeps out every control plane until it has ended, and may take longer than a batch', async () => {
    addFullRow('hosts');
    // What another transaction cannot have while this one inserts: any lock on these tables.
    server.sql(
      `CREATE TABLE kept (name text);
       CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO kept SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid()
           AND locktype = 'relation' AND mode = 'AccessExclusiveLock'; RETURN NEW; END $$;
       CREATE TRIGGER note BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION note()`,
      url,
    );
    await lockUntilWaitedFor(url, 'LOCK TABLE jobs', 'SELECT pg_sleep(3.2)');
    expect(importAll()).toEqual({ hosts: 1, jobs: 0, alerts: 0 });
    const kept = to.rows<[string]>('SELECT name FROM kept').flat();
    expect(kept).toEqual(expect.arrayContaining(['hosts', 'instances', 'jobs', 'tokens']));
  });
});
