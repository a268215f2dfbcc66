import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { Changes } from '../../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { HOSTS_PAGE, Hosts } from '../../../src/store-thread/postgres/hosts.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { eventually } from '../../support/serve.ts';
import { ulidOf } from '../../support/ulid.ts';
import { SLEEPING_DATABASE } from './sleeping-database.ts';

/** Minimum pause between two polls. */
const A_PAUSE_MS = 50;

unless(NO_POSTGRES).describe('an instance that follows the others', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let url: string;
  let engine: PostgresEngine;

  beforeEach(() => {
    url = server.createDatabase();
    server.sql(SLEEPING_DATABASE, url);
    engine = PostgresEngine.open(url, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    engine.startServing();
  });

  afterEach(() => {
    engine.close();
    vi.useRealTimers();
  });

  /** The test sets the clock by which the pauses between polls are measured. */
  function startWithClock(): void {
    engine.close();
    vi.useFakeTimers({ toFake: ['performance'] });
    engine = PostgresEngine.open(url, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    engine.startServing();
    vi.advanceTimersByTime(A_PAUSE_MS);
  }

  function cutConnection(): void {
    server.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'restic-manager'`,
      url,
    );
  }

  it('reads at most 20 times a second, however many agents have unknown tokens', () => {
    startWithClock();
    server.sql("INSERT INTO hosts (host_id, host, enrolled_at) VALUES ('a', 'a', 0)", url);
    const change = () => server.sql("INSERT INTO host_changes (host_ids) VALUES ('{a}')", url);
    const poll = () => {
      const changes = new Changes();
      engine.follow(changes);
      return changes.followed.length;
    };
    change();
    expect(poll()).toBe(1);
    change();
    for (let n = 0; n < 5; n++) expect(poll()).toBe(0);
    vi.advanceTimersByTime(A_PAUSE_MS);
    expect(poll()).toBe(1);
  });

  it('reads a fleet of any size at the start, and again after its connection was lost, in steps of half a second', async () => {
    // One more than one statement reads, of each.
    const [hosts, tokens] = [HOSTS_PAGE + 1, 20_001];
    server.sql(
      `INSERT INTO hosts (host_id, host, enrolled_at)
       SELECT lpad(n::text, 26, '0'), 'host-' || n, 0 FROM generate_series(1, ${hosts}) AS n;
       INSERT INTO tokens (host_id, token_digest)
       SELECT lpad(n::text, 26, '0'), sha256(n::text::bytea) FROM generate_series(1, ${tokens}) AS n`,
      url,
    );
    startWithClock();
    expect(new Set(Array.from(engine.hosts(), ({ hostId }) => hostId)).size).toBe(hosts);
    expect(engine.enrolled()).toHaveLength(tokens);
    cutConnection();
    await eventually(() => expect([...engine.hosts()]).toHaveLength(hosts));
    const page = vi.spyOn(Hosts.prototype, 'page');
    onTestFinished(() => page.mockRestore());
    page.mockImplementation(function (this: Hosts, after: string) {
      vi.advanceTimersByTime(600); // it is slow
      page.mockRestore();
      return this.page(after);
    });
    const read: string[] = [];
    for (const isCurrent of [false, true, true]) {
      vi.advanceTimersByTime(A_PAUSE_MS);
      const changes = new Changes();
      engine.follow(changes);
      expect(engine.isCurrent).toBe(isCurrent);
      expect([changes.enrolled, changes.removed]).toEqual([[], []]);
      read.push(...changes.followed.map(({ hostId }) => hostId));
      if (!isCurrent) expect(read).toHaveLength(HOSTS_PAGE);
    }
    expect(read).toHaveLength(hosts);
    expect(new Set(read).size).toBe(hosts);
  });

  it('knows its own tokens at once: those added, replaced and removed, but not those of an operation that failed', () => {
    const digest = (n: number) => Buffer.alloc(32, n);
    const add = (n: number) =>
      engine.addHosts([{ hostId: ulidOf(n), host: `${n}`, tokenDigest: digest(n) }]);
    engine.transaction(() => {
      for (const n of [1, 2]) add(n);
      const fail = () => {
        add(3);
        engine.replaceToken(ulidOf(1), digest(4));
        throw new Error('undo');
      };
      expect(() => engine.attempt(fail)).toThrow('undo');
    });
    expect(engine.enrolled()).toEqual([1, 2].map((n) => [ulidOf(n), digest(n)]));
    expect(() =>
      engine.transaction(() => {
        add(5);
        throw new Error('undo');
      }),
    ).toThrow('undo');
    engine.transaction(() => {
      engine.replaceToken(ulidOf(1), digest(6));
      engine.removeHost(ulidOf(2));
    });
    expect(engine.enrolled()).toEqual([[ulidOf(1), digest(6)]]);
    const hosts = [1, 2, 3, 4, 5, 6].map((n) => engine.hostOfToken(digest(n)));
    expect(hosts).toEqual([...Array(5).fill(undefined), ulidOf(1)]);
  });

  it('of a command, too, dates by the clock of the database, and not by its own', () => {
    vi.useFakeTimers({ now: 0, toFake: ['Date'] });
    const command = PostgresEngine.open(url, { serves: undefined, onForgottenJobs: () => {} });
    const nowMs = command.now();
    command.close();
    vi.useRealTimers();
    expect(Math.abs(nowMs - Date.now())).toBeLessThan(3_600_000);
  });

  it('dates reports by the clock of the database, also after that was set', async () => {
    const HOUR = 3_600_000;
    const aheadMs = () => engine.now() - Date.now();
    expect(Math.abs(aheadMs())).toBeLessThan(HOUR / 2);
    server.sql("UPDATE slept SET time = interval '1 hour'", url);
    await eventually(() => {
      engine.follow(new Changes());
      expect(Math.abs(aheadMs() - HOUR)).toBeLessThan(HOUR / 2);
    });
  });

  it('knows after its connection was lost that it may have missed something, until it has read everything', async () => {
    const [kept, removed] = [ulidOf(1), ulidOf(2)];
    engine.transaction(() =>
      engine.addHosts([
        { hostId: kept, host: 'kept', tokenDigest: Buffer.from('kept') },
        { hostId: removed, host: 'removed', tokenDigest: Buffer.from('removed') },
      ]),
    );
    expect(engine.isCurrent).toBe(true);
    cutConnection();
    // As another instance does it, except that the records of the changes are gone: they are kept for two minutes.
    server.sql(
      `UPDATE hosts SET host = 'renamed' WHERE host_id = '${kept}';
       DELETE FROM hosts WHERE host_id = '${removed}'; DELETE FROM tokens WHERE host_id = '${removed}'`,
      url,
    );
    await eventually(() => expect(engine.host(kept)?.host).toBe('renamed'));
    expect(engine.isCurrent).toBe(false);
    expect(engine.hostOfToken(Buffer.from('removed')), 'not read yet').toBe(removed);
    const changes = new Changes();
    engine.follow(changes);
    expect(changes.followed.map(({ host }) => host)).toEqual(['renamed']);
    expect(changes.removed).toEqual([removed]);
    expect(engine.hostOfToken(Buffer.from('removed'))).toBeUndefined();
    expect(engine.isCurrent).toBe(true);
  });
});
