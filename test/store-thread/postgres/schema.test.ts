import { expect, it, onTestFinished } from 'vitest';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';

unless(NO_POSTGRES).describe('the tables in PostgreSQL', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);

  function open(url: string): PostgresEngine {
    const engine = PostgresEngine.open(url, { serves: undefined, onForgottenJobs: () => {} });
    onTestFinished(() => engine.close());
    return engine;
  }

  /** A database with tables, which nobody uses. */
  function withTables(): string {
    const url = server.createDatabase();
    const engine = PostgresEngine.open(url, { serves: undefined, onForgottenJobs: () => {} });
    expect(engine.isNew).toBe(true);
    engine.close();
    return url;
  }

  const indexes = (url: string) =>
    server.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1", url);

  it('of an earlier version get what they lack, and keep their hosts', () => {
    const url = withTables();
    const [version, complete] = [
      server.sql('SELECT version FROM schema_version', url),
      indexes(url),
    ];
    server.sql(
      `INSERT INTO hosts (host_id, host, enrolled_at) VALUES ('a', 'web', 0);
       DROP INDEX jobs_running; UPDATE schema_version SET version = 1`,
      url,
    );
    const engine = open(url);
    expect(engine.isNew).toBe(false);
    expect([...engine.hosts()].map(({ host }) => host)).toEqual(['web']);
    expect(indexes(url)).toBe(complete);
    expect(server.sql('SELECT version FROM schema_version', url)).toBe(version);
  });

  it('that are complete are not written at a start, which so works where nothing can be written', () => {
    const url = withTables();
    const name = new URL(url).pathname.slice(1);
    server.sql(`ALTER DATABASE ${name} SET default_transaction_read_only = on`, url);
    expect([...open(url).hosts()]).toEqual([]);
  });

  it('are not created a second time after another process has created them, which may take longer than a batch', async () => {
    const url = server.createDatabase();
    // It has the tables of the present version. That the others are missing shows who has created them.
    await lockUntilWaitedFor(
      url,
      `SELECT pg_advisory_xact_lock(${0x726d_5f64});
       CREATE TABLE schema_version (version integer NOT NULL); INSERT INTO schema_version VALUES (2)`,
      'SELECT pg_sleep(3.2)',
    );
    expect(open(url).isNew).toBe(false);
    expect(server.sql("SELECT to_regclass('hosts') IS NULL", url)).toBe('t');
  });

  it('need a server of version 13 or later', () => {
    const url = server.createDatabase();
    const name = new URL(url).pathname.slice(1);
    server.sql(
      `CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS $$
         SELECT CASE $1 WHEN 'server_version_num' THEN '120022' ELSE pg_catalog.current_setting($1) END $$;
       ALTER DATABASE ${name} SET search_path = public, pg_catalog`,
      url,
    );
    expect(() => open(url)).toThrow(
      expect.objectContaining({
        code: 'database_too_old',
        message: expect.stringMatching(/is PostgreSQL 12; version 13 or later is required$/),
      }),
    );
  });

  it('must be in UTF-8', () => {
    server.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0", 'postgres');
    expect(() => open(server.url('ascii'))).toThrow(
      /has the encoding SQL_ASCII; create the database with ENCODING 'UTF8'/,
    );
  });
});
