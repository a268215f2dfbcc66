import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { READ_LIMIT_MS } from '../../src/contract/queries.ts';
import { PostgresReads } from '../../src/query-thread/postgres-reads.ts';
import { PostgresEngine } from '../../src/store-thread/postgres/engine.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { eventually } from '../support/serve.ts';

unless(NO_POSTGRES).describe('the reads from PostgreSQL', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);

  /** A database with the tables. */
  function createDatabase(): string {
    const url = server.createDatabase();
    PostgresEngine.open(url, { serves: undefined, onForgottenJobs: () => {} }).close();
    return url;
  }

  function open(url: string): PostgresReads {
    const reads = new PostgresReads(url);
    onTestFinished(() => reads.close());
    return reads;
  }

  /** The processes of the server that serve this program. */
  const backends = (url: string) =>
    server.sql(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'restic-manager'`,
      url,
    );

  it('use one connection, as long as they are in time', async () => {
    const url = createDatabase();
    const reads = open(url);
    expect(await reads.running()).toEqual(new Map());
    await eventually(() => expect(backends(url)).toMatch(/^\d+$/));
    const first = backends(url);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await reads.running()).toEqual(new Map());
    vi.advanceTimersByTime(10 * READ_LIMIT_MS);
    vi.useRealTimers();
    expect(await reads.history('none')).toEqual({ alerts: [], jobs: [] });
    expect(backends(url)).toBe(first);
  });

  it('are limited by the server, find their rows by an index, see one state and cannot write', async () => {
    const url = createDatabase();
    const names = [
      'statement_timeout',
      'idle_in_transaction_session_timeout',
      'enable_seqscan',
      'transaction_isolation',
      'transaction_read_only',
    ];
    const settings = names.map((name) => `('${name} ' || current_setting('${name}'), NULL)`);
    server.sql(
      `ALTER TABLE jobs RENAME TO real_jobs;
       CREATE VIEW jobs (kind, status) AS VALUES ${settings}`,
      url,
    );
    expect([...(await open(url).running()).keys()].sort()).toEqual([
      'enable_seqscan off',
      'idle_in_transaction_session_timeout 2s',
      'statement_timeout 2s',
      'transaction_isolation repeatable read',
      'transaction_read_only on',
    ]);
  });

  it('that come when the earlier ones have taken too long are not begun', async () => {
    const url = createDatabase();
    const reads = open(url);
    await reads.running();
    await lockUntilWaitedFor(url, 'LOCK TABLE jobs', 'SELECT pg_sleep(30)');
    const results = await Promise.allSettled([1, 2, 3].map(() => reads.running()));
    const reasons = results.map((result) => (result.status === 'rejected' ? result.reason : ''));
    for (const { code } of reasons) expect(code).toBe('api_too_late');
    expect(reasons[2].message).toBe('earlier reads of the database took too long');
  });

  it('fail while no server can be reached, and say why', async () => {
    await expect(open('postgres://rm@127.0.0.1:1/fleet').running()).rejects.toMatchObject({
      code: 'api_failed',
      message: expect.stringContaining('127.0.0.1:1: '),
    });
  });

  it('that come while the connection is made again wait for it, however often that is', async () => {
    const url = createDatabase();
    /** What happens to a new connection: it is passed on, is closed, or waits. */
    let mode: 'pass' | 'refuse' | 'hold' = 'refuse';
    const passed = new Set<Socket>();
    const held: Socket[] = [];
    const pass = (socket: Socket) => {
      const there = connect(server.port, '127.0.0.1');
      for (const [from, to] of [
        [socket, there],
        [there, socket],
      ] as const) {
        passed.add(from);
        from.pipe(to);
        from.on('error', () => {}).on('close', () => to.destroy());
      }
    };
    const proxy = createServer((socket) => {
      socket.on('error', () => {});
      if (mode === 'refuse') socket.destroy();
      else if (mode === 'hold') held.push(socket);
      else pass(socket);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => {
      proxy.close();
      for (const socket of [...passed, ...held]) socket.destroy();
    });
    await once(proxy, 'listening');
    const address = proxy.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const reads = open(url.replace(`:${server.port}/`, `:${port}/`));
    await expect(reads.running()).rejects.toMatchObject({ code: 'api_failed' });
    mode = 'pass';
    await eventually(() => reads.running());
    for (let n = 0; n < 3; n++) {
      mode = 'hold';
      for (const socket of passed) socket.destroy();
      passed.clear();
      // So it has noticed the loss, and makes a new connection.
      await eventually(() => expect(held).toHaveLength(1));
      const read = reads.running();
      mode = 'pass';
      for (const socket of held.splice(0)) pass(socket);
      expect(await read).toEqual(new Map());
    }
  });
});
