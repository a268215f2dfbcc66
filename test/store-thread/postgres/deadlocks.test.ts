import { afterEach, beforeEach, expect, it } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { StoreRig } from '../store-rig.ts';

/*
 * Instances lock hosts in the order of their ids. psql is the other instance: it locks a first host, and a
 * second one when the store waits for the first.
 */
unless(NO_POSTGRES).describe('two instances do not deadlock', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let url: string;
  let engine: PostgresEngine;
  let rig: StoreRig;
  let hosts: [string, string];

  beforeEach(() => {
    url = server.createDatabase();
    engine = PostgresEngine.open(url, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    rig = new StoreRig(engine);
    hosts = [rig.online('one'), rig.online('two')].sort() as [string, string];
  });

  afterEach(() => {
    rig.close();
    engine.close();
  });

  /** Returns when the first host is locked. `exit` is then the exit code, when both were locked or not. */
  function lockBoth(): Promise<{ readonly exit: Promise<number | null> }> {
    const [first, second] = hosts.map(
      (hostId) => `SELECT FROM hosts WHERE host_id = '${hostId}' FOR UPDATE`,
    ) as [string, string];
    return lockUntilWaitedFor(url, first, second);
  }

  it('when one of them also writes goodbyes that it could not write before', async () => {
    const [first, second] = hosts;
    const connection = rig.hello(second);
    rig.presence.rememberGoodbye(second, connection);
    const other = await lockBoth();
    rig.submit('repoStats', { hostId: first, snapshotCount: 1 });
    expect(await other.exit).toBe(0);
    expect(rig.presence.unwritten).toEqual([]);
  });

  it('when one of them runs each operation in a savepoint, because one has failed', async () => {
    const [first, second] = hosts;
    const other = await lockBoth();
    const outcomes = rig.submitAll([
      ['repoStats', { hostId: second, snapshotCount: 1 }],
      ['addHosts', { hosts: [''] }],
      ['repoStats', { hostId: first, snapshotCount: 1 }],
    ]);
    const failure = { code: 'invalid_host', message: expect.any(String) };
    expect(outcomes).toEqual([
      { answer: 'recorded' },
      { failure: expect.objectContaining(failure) },
      { answer: 'recorded' },
    ]);
    expect(await other.exit).toBe(0);
  });
});
