import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
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
    for (const until = performance.now() + 20_000; performance.now() < until; await sleep(10)) {
      if (session.connection > first) break;
    }
    expect(session.connection).toBeGreaterThan(first);
    expect(session.run('SELECT 1').rows).toEqual([[1]]);
  });
});
