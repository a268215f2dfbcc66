import { afterEach, beforeEach, expect, it } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { Changes } from '../../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { eventually } from '../../support/serve.ts';
import { ulidOf } from '../../support/ulid.ts';
import { SLEEPING_DATABASE } from './sleeping-database.ts';

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

  afterEach(() => engine.close());

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
    server.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'restic-manager'`,
      url,
    );
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
