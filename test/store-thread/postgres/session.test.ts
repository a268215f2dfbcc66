import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, PostgresServer } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';

unless(NO_POSTGRES).test(
  'a start tries all servers, also if the first five are silent',
  async () => {
    const server = await PostgresServer.start(['fsync=off']);
    onTestFinished(() => server.remove());
    // `Session` blocks this thread, so the kernel accepts connections here and nothing answers them.
    const silent = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const addresses = Array.from({ length: 5 }, () => `postgres://rm@127.0.0.1:${port}/postgres`);
    const session = new Session([...addresses, server.url('postgres')]);
    onTestFinished(() => session.close());
    expect(session.rows<[number]>('SELECT 1')).toEqual([[1]]);
  },
);
