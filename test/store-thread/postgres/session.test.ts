import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';

unless(NO_POSTGRES).describe('a session', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll();

  it('replaces a connection whose server process hangs', async () => {
    const session = new Session([server.url('postgres')]);
    onTestFinished(() => session.close());
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
