import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { DatabaseError } from '../../../src/store-thread/postgres/database-error.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';

unless(NO_POSTGRES).describe('a session', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);

  function open(...addresses: string[]): Session {
    const session = new Session(addresses);
    onTestFinished(() => session.close());
    return session;
  }

  it('begins with the first server that answers, also if the first five are silent', async () => {
    // `Session` blocks this thread, so the kernel accepts connections here and nothing answers them.
    const silent = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const addresses = Array.from({ length: 5 }, () => `postgres://rm@127.0.0.1:${port}/postgres`);
    const session = open(...addresses, server.url('postgres'));
    expect(session.rows<[number]>('SELECT 1')).toEqual([[1]]);
  });

  it('replaces a connection whose server process hangs', async () => {
    const session = open(server.url('postgres'));
    const first = session.connection;
    const [row] = session.rows<[number]>('SELECT pg_backend_pid()');
    const pid = row?.[0] ?? Number.NaN;
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => void process.kill(pid, 'SIGCONT'));
    const query = () => session.transaction(() => session.run('SELECT 1').rows, 300);
    expect(query).toThrow('no answer from the database within');
    await nextConnection(session, first);
    expect(session.run('SELECT 1').rows).toEqual([[1]]);
  });

  async function nextConnection(session: Session, first: number): Promise<void> {
    for (const until = performance.now() + 20_000; performance.now() < until; await sleep(10)) {
      if (session.connection > first) break;
    }
    expect(session.connection).toBeGreaterThan(first);
  }

  /** What the server applies to the statement that asks. */
  function settings(session: Session): Record<string, string> {
    const names = [
      'statement_timeout',
      'idle_in_transaction_session_timeout',
      'enable_seqscan',
      'enable_hashjoin',
      'enable_mergejoin',
      'transaction_isolation',
      'transaction_read_only',
    ];
    const { rows } = session.run(`SELECT ${names.map((name) => `current_setting('${name}')`)}`);
    return Object.fromEntries(names.map((name, index) => [name, String(rows[0]?.[index])]));
  }

  it.each([undefined, 7])(
    'limits a transaction and finds its rows by an index, and leaves no settings (writer: %s)',
    (writer) => {
      const session = open(server.url('postgres'));
      if (writer !== undefined) session.writeAs(writer);
      expect(session.transaction(() => settings(session))).toEqual({
        statement_timeout: '2500ms',
        // Longer than a statement, and so short that others wait little for the locks of a process that was stopped.
        idle_in_transaction_session_timeout: '3s',
        enable_seqscan: 'off',
        enable_hashjoin: 'off',
        enable_mergejoin: 'off',
        transaction_isolation: 'read committed',
        transaction_read_only: 'off',
      });
      expect(session.reading(() => settings(session))).toEqual({
        statement_timeout: '2500ms',
        idle_in_transaction_session_timeout: '0',
        enable_seqscan: 'on',
        enable_hashjoin: 'on',
        enable_mergejoin: 'on',
        transaction_isolation: 'repeatable read',
        transaction_read_only: 'on',
      });
    },
  );

  function withTable(): { session: Session; stored: () => unknown[] } {
    const session = open(server.createDatabase());
    session.run('CREATE TABLE stored (n integer)');
    return { session, stored: () => session.rows('SELECT n FROM stored').flat() };
  }

  const insert = (n: number) => ({ text: `INSERT INTO stored VALUES (${n})` });

  it('stores what a transaction only defers', () => {
    const { session, stored } = withTable();
    session.transaction(() => session.defer([insert(1)]));
    expect(stored()).toEqual([1]);
  });

  it('does not take a transaction for committed that the server has rolled back', () => {
    const { session, stored } = withTable();
    const work = () => {
      session.run(insert(1).text);
      // As if somebody caught the error and went on.
      expect(() => session.run('SELECT 1 / 0')).toThrow('division by zero');
    };
    expect(() => session.transaction(work)).toThrow(/aborted|rolled the transaction back/);
    expect(stored()).toEqual([]);
  });

  it('undoes an attempt with all that it has deferred, and continues its transaction', () => {
    const { session, stored } = withTable();
    session.transaction(() => {
      session.run(insert(1).text);
      const attempt = () =>
        session.attempt(() => {
          session.run(insert(2).text);
          session.defer([insert(3), { text: 'SELECT 1 / 0' }]);
          throw new Error('the first error');
        });
      expect(attempt).toThrow('the first error');
      session.run(insert(4).text);
    });
    expect(stored()).toEqual([1, 4]);
  });

  it('counts the rows that are inserted, updated and deleted, and no locks', () => {
    const { session } = withTable();
    const written = (sql: string) => {
      const before = session.rowsWritten;
      session.run(sql);
      return session.rowsWritten - before;
    };
    expect(written('INSERT INTO stored VALUES (1), (2)')).toBe(2);
    expect(written('SELECT n FROM stored FOR UPDATE')).toBe(0);
    expect(written('UPDATE stored SET n = 3')).toBe(2);
    expect(written('DELETE FROM stored')).toBe(2);
  });

  it('makes a new connection after a commit that the standby may not have, so that its writes are read again', async () => {
    const { session, stored } = withTable();
    const require = (standby: string) => {
      server.sql(`ALTER SYSTEM SET synchronous_standby_names = '${standby}'`, 'postgres');
      server.sql('SELECT pg_reload_conf()', 'postgres');
    };
    onTestFinished(() => require(''));
    // `Session` blocks this thread, so another process ends the wait.
    const ending = spawn('psql', ['--no-psqlrc', '-q', server.url('postgres')], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    onTestFinished(() => void ending.kill('SIGKILL'));
    ending.stdin.end(`DO $$ BEGIN FOR n IN 1..400 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN (SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
          WHERE wait_event = 'SyncRep' AND application_name = 'restic-manager') > 0;
        PERFORM pg_sleep(0.05);
      END LOOP; END $$;\n`);
    require('absent');
    const first = session.connection;
    let error: unknown;
    // The process of the connection reads the setting a moment later.
    for (let n = 1; error === undefined && n < 100; n++) {
      try {
        session.transaction(() => session.run(insert(n).text), 20_000);
        await sleep(20);
      } catch (thrown) {
        error = thrown;
      }
    }
    expect(error).toBeInstanceOf(DatabaseError);
    expect(error).toMatchObject({
      isUncertain: true,
      message: expect.stringMatching(/synchronous replication/),
    });
    require('');
    await nextConnection(session, first);
    expect(stored(), 'it was committed').not.toEqual([]);
  });
});
