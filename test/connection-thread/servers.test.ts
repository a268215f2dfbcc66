import { readFileSync } from 'node:fs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Connection } from '../../src/connection-thread/connection.ts';
import { Bridge } from '../../src/store-thread/postgres/bridge.ts';
import { freePort } from '../support/free-port.ts';
import { inTime } from '../support/in-time.ts';
import { NO_POSTGRES, type PostgresServer, postgresForAll } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { eventually } from '../support/serve.ts';

/** Nothing listens on this port. */
const CLOSED = 'postgres://rm@127.0.0.1:1/fleet';
const ENDS_ITS_PROCESS = 'SELECT pg_terminate_backend(pg_backend_pid())';

unless(NO_POSTGRES).describe('a connection to PostgreSQL', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  const [one, two] = [server.createDatabase(), server.createDatabase()];

  /** Opens a connection, and closes it after the test. */
  function open(...addresses: string[]) {
    /** What was reported: numbers of connections, losses, and why no server was reached. */
    const events: (number | 'lost' | string)[] = [];
    const connection = new Connection(addresses, {
      onConnected: (number) => events.push(number),
      onDisconnected: () => events.push('lost'),
      onUnreachable: (why) => events.push(why),
    });
    onTestFinished(() => connection.close());
    connection.open();
    const run = async (number: number, ...texts: string[]) => {
      const statements = texts.map((text) => ({ text }));
      const { results, error } = await connection.run(number, statements);
      return { rows: results.flatMap(({ rows }) => rows), error };
    };
    /** The name of the database that is used by the connection with this number, once there is one. */
    const database = async (number: number) => {
      await eventually(() => expect(events).toContain(number));
      const { rows, error } = await run(number, 'SELECT current_database()');
      return error?.message ?? rows[0]?.[0];
    };
    return { connection, events, run, database };
  }

  const nameOf = (url: string) => new URL(url).pathname.slice(1);
  const connectionsTo = (url: string, at: PostgresServer = server) =>
    at.sql(
      `SELECT count(*) FROM pg_stat_activity
       WHERE application_name = 'restic-manager' AND datname = '${nameOf(url)}'`,
      url,
    );

  it('runs statements only on the connection that they are for', async () => {
    const { connection, run, database, events } = open(one);
    expect(await database(1)).toBe(nameOf(one));
    connection.abort(1);
    expect(await database(2)).toBe(nameOf(one));
    const lost = { message: 'the connection was lost', state: undefined };
    expect(await run(1, 'SELECT 1')).toEqual({ rows: [], error: lost });
    connection.abort(1);
    expect(await run(2, 'SELECT 1')).toEqual({ rows: [[1]], error: undefined });
    expect(events).toEqual([1, 'lost', 2]);
  });

  it('returns the rows up to the statement that fails, and the state of the error', async () => {
    const { database, run } = open(one);
    await database(1);
    expect(await run(1, 'SELECT 1; SELECT 2', 'SELECT 3')).toMatchObject({ rows: [[2], [3]] });
    expect(await run(1, 'SELECT 1', 'SELECT 1/0', 'SELECT 2')).toEqual({
      rows: [[1]],
      error: { message: 'division by zero', state: '22012' },
    });
  });

  it('that is given up fails its statements at once, and the next server is used', async () => {
    const { connection, database, run } = open(CLOSED, one, two);
    expect(await database(1)).toBe(nameOf(one));
    const hanging = run(1, 'SELECT pg_sleep(60)');
    connection.abort(1);
    expect(await inTime(hanging, 'the statement waits')).toMatchObject({
      rows: [],
      error: { state: undefined },
    });
    expect(await database(2)).toBe(nameOf(two));
    await eventually(() => expect(connectionsTo(two)).toBe('1'));
  });

  it.each([
    ['that shuts down', ENDS_ITS_PROCESS, '57P01'],
    [
      'that has become read-only',
      'SET default_transaction_read_only = on; COMMIT; CREATE TABLE x ()',
      '25006',
    ],
  ])('leaves a server %s for the next one', async (_, text, state) => {
    const { database, run } = open(one, two);
    expect(await database(1)).toBe(nameOf(one));
    expect(await run(1, text)).toMatchObject({ error: { state } });
    expect(await database(2)).toBe(nameOf(two));
  });

  it('that is lost between two statements is made again to the same server', async () => {
    const { database, events } = open(CLOSED, one, two);
    expect(await database(1)).toBe(nameOf(one));
    server.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'restic-manager' AND datname = '${nameOf(one)}'`,
      two,
    );
    expect(await database(2)).toBe(nameOf(one));
    expect(events).toEqual([1, 'lost', 2]);
  });

  it('continues after the time that connecting may take', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { events, run } = open(one);
    for (const until = performance.now() + 20_000; performance.now() < until; ) {
      if (events.includes(1)) break;
      await new Promise(setImmediate);
    }
    vi.advanceTimersByTime(10_000);
    expect(await run(1, 'SELECT 1')).toMatchObject({ rows: [[1]] });
    expect(events).toEqual([1]);
  });

  it('is closed within a few seconds while a statement runs', async () => {
    const { connection, database, run } = open(one);
    await database(1);
    const hanging = run(1, 'SELECT pg_sleep(60)');
    await inTime(connection.close(), 'it is not closed');
    expect((await hanging).error).toBeDefined();
  });

  it('that is closed while it connects does not stay open', async () => {
    const own = server.createDatabase();
    const { connection, events } = open(own);
    await connection.close();
    // A connection that was opened later is there, so the first one was, too.
    const { database } = open(two);
    await database(1);
    await eventually(() => expect(connectionsTo(own)).toBe('0'), 5_000);
    expect(events).toEqual([]);
  });

  it('that is lost is none for the store thread, which learns why there is no other', async () => {
    const own = server.createDatabase();
    const bridge = new Bridge([own]);
    onTestFinished(() => bridge.close());
    expect(bridge.waitForConnection(20_000)).toBe(true);
    expect(bridge.connection).toBe(1);
    server.sql(
      `ALTER DATABASE ${nameOf(own)} ALLOW_CONNECTIONS false;
       SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${nameOf(own)}'`,
      'postgres',
    );
    await eventually(() => {
      expect(bridge.connection).toBe(0);
      expect(bridge.unreachable).toMatch(/is not currently accepting connections/);
    }, 10_000);
    server.sql(`ALTER DATABASE ${nameOf(own)} ALLOW_CONNECTIONS true`, 'postgres');
    expect(bridge.waitForConnection(20_000)).toBe(true);
    expect(bridge.connection).toBe(2);
    expect(bridge.run(2, [{ text: 'SELECT 1' }], 10_000).results).toMatchObject([{ rows: [[1]] }]);
  });

  // The API may ask for nothing for hours. Firewalls forget connections without any traffic.
  it.runIf(process.platform === 'linux')('is kept alive', async () => {
    const { database, run } = open(one);
    await database(1);
    const { rows } = await run(1, 'SELECT inet_client_port()');
    const port = Number(rows[0]?.[0]).toString(16).toUpperCase().padStart(4, '0');
    // https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html: 02 is the timer of keepalive
    const own = new RegExp(`^ *\\d+: \\w+:${port} \\w+:\\w+ 01 \\w+:\\w+ (\\w+):`, 'm');
    await eventually(() => {
      expect(own.exec(readFileSync('/proc/net/tcp', 'utf8'))?.[1]).toBe('02');
    });
  });

  it('names the directory of a socket that nobody listens on', async () => {
    const { events } = open('postgres://rm@%2Fnowhere%2Fsockets/fleet');
    await eventually(() => expect(events.length).toBeGreaterThan(0));
    expect(events[0]).toMatch(/^\/nowhere\/sockets: connect ENOENT/);
  });

  it('passes over a standby, leaves no connection there, and uses it when it is promoted', async () => {
    const standby = server.copy(await freePort(), { isStandby: true });
    onTestFinished(() => standby.remove());
    const there = standby.url(nameOf(one));
    const { connection, database, events, run } = open(there, one);
    expect(await database(1)).toBe(nameOf(one));
    expect((await run(1, 'SELECT pg_is_in_recovery()')).rows).toEqual([[false]]);
    const { events: reasons } = open(there);
    await eventually(() => expect(reasons.length).toBeGreaterThan(1));
    expect(reasons[0]).toBe(`127.0.0.1:${standby.port}: is a standby, which cannot be written`);
    // The second one tries again and again. At most its last attempt is there.
    expect(Number(connectionsTo(there, standby))).toBeLessThan(2);
    standby.sql('SELECT pg_promote()', 'postgres');
    connection.abort(1);
    expect(await database(2)).toBe(nameOf(one));
    expect(events).toEqual([1, 'lost', 2]);
    await eventually(() => expect(Number(connectionsTo(there, standby))).toBe(2));
  });
});
