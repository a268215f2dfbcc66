import { createServer, type Server } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Connection } from '../../src/connection-thread/connection.ts';

/** https://www.postgresql.org/docs/current/protocol-message-formats.html: AuthenticationOk, ReadyForQuery */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);

/** Listens like a server that hangs: it accepts connections and says nothing, or nothing after the welcome. */
async function hangingServer(
  answer?: Buffer,
): Promise<{ server: Server; port: number; accepted: () => number }> {
  let accepted = 0;
  const server = createServer((socket) => {
    accepted++;
    socket.on('error', () => {});
    if (answer) socket.once('data', () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port, accepted: () => accepted };
}

describe('while no server can be reached', () => {
  let hanging: Awaited<ReturnType<typeof hangingServer>>;
  /** A port on which nothing listens. */
  let closedPort: number;
  let connection: Connection;
  let reasons: string[];

  beforeEach(async () => {
    hanging = await hangingServer();
    const closed = await hangingServer();
    closedPort = closed.port;
    await new Promise((resolve) => closed.server.close(resolve));
    reasons = [];
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(async () => {
    await connection.close();
    vi.useRealTimers();
    hanging.server.close();
  });

  function open(...ports: number[]): void {
    const addresses = ports.map((port) => `postgres://rm:hunter2@127.0.0.1:${port}/fleet`);
    connection = new Connection(addresses, {
      onConnected: () => {},
      onDisconnected: () => {},
      onUnreachable: (why) => reasons.push(why),
    });
    connection.open();
  }

  /** Waits without a timer, because the test has stopped the clock. */
  async function until(isDone: () => boolean): Promise<void> {
    const giveUpAt = performance.now() + 10_000;
    while (!isDone()) {
      if (performance.now() > giveUpAt) throw new Error('it did not happen');
      await setImmediate();
    }
  }

  it('each gets two seconds, and the reasons of all are told, without the password', async () => {
    open(hanging.port, closedPort);
    await until(() => hanging.accepted() === 1);
    vi.advanceTimersByTime(1_999);
    await setImmediate();
    expect(reasons).toEqual([]);
    vi.advanceTimersByTime(1);
    await until(() => reasons.length === 1);
    expect(reasons[0]).toMatch(
      new RegExp(
        `^127\\.0\\.0\\.1:${hanging.port}: .+; 127\\.0\\.0\\.1:${closedPort}: .*ECONNREFUSED`,
      ),
    );
    expect(reasons[0]).not.toContain('hunter2');
  });

  it('one that answers no query is given up after two seconds, too', async () => {
    const welcoming = await hangingServer(WELCOME);
    onTestFinished(() => void welcoming.server.close());
    let queries = 0;
    welcoming.server.on('connection', (socket) => socket.on('data', () => queries++));
    open(welcoming.port);
    await until(() => queries === 2); // the startup message comes first
    vi.advanceTimersByTime(2_000);
    await until(() => reasons.length === 1);
  });

  it('all are tried again after a pause that grows from 0.1 s to 1 s', async () => {
    open(closedPort);
    for (const [tries, pauseMs] of [100, 200, 400, 800, 1_000, 1_000, 1_000].entries()) {
      await until(() => reasons.length === tries + 1);
      // The pause begins after the reasons were told.
      await setImmediate();
      vi.advanceTimersByTime(pauseMs - 1);
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      expect(reasons).toHaveLength(tries + 1);
      vi.advanceTimersByTime(1);
    }
    await until(() => reasons.length === 8);
  });

  it('nothing is tried any more once the connection is closed', async () => {
    open(closedPort);
    await until(() => reasons.length === 1);
    await connection.close();
    vi.advanceTimersByTime(60_000);
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    expect(reasons).toHaveLength(1);
  });

  it('statements fail at once', async () => {
    open(closedPort);
    const { results, error } = await connection.run(0, [{ text: 'SELECT 1' }]);
    expect([results, error]).toEqual([
      [],
      { message: 'the connection was lost', state: undefined },
    ]);
  });
});
