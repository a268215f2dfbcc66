import { afterEach, beforeEach, expect, it } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { AT, StoreRig } from '../store-rig.ts';

unless(NO_POSTGRES).describe('a job that is taken for new without a look', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let engine: PostgresEngine;
  let rig: StoreRig;

  beforeEach(() => {
    engine = PostgresEngine.open(server.createDatabase(), {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    rig = new StoreRig(engine);
  });

  afterEach(() => {
    rig.close();
    engine.close();
  });

  it('and is a repeat does no harm to the other operations of its batch, which are done once', () => {
    const hostId = rig.online('web');
    const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
    const end = { status: 'succeeded', finishedAtMs: AT + 1 } as const;
    rig.submit('finishJob', { ...job, ...end, jobId: 'old' });
    const outcomes = rig.submitAll([
      ['addHosts', { hosts: ['mail'] }],
      ['finishJob', { ...job, ...end, jobId: 'new' }],
      ['finishJob', { ...job, ...end, jobId: 'old' }],
      ['startJob', { ...job, jobId: 'old', startedAtMs: AT + 9 }],
    ]);
    expect(outcomes).toEqual([
      { answer: [{ hostId: expect.any(String), token: expect.any(String) }] },
      { answer: { first: true, kind: 'backup', durationMs: 1 } },
      { answer: { first: false } },
      { answer: 'job_conflict' },
    ]);
    expect(rig.submit('listHosts', null).map(({ host }) => host)).toEqual(['web', 'mail']);
    expect(rig.pending).toBe(1);
    expect(rig.logged).toEqual([]);
  });

  it('and is a repeat is answered as one, though another operation of its batch fails', () => {
    const hostId = rig.online('web');
    const job = { hostId, kind: 'backup', startedAtMs: AT, jobId: 'old' } as const;
    const finish = { ...job, status: 'succeeded', finishedAtMs: AT + 1 } as const;
    rig.submit('finishJob', finish);
    const outcomes = rig.submitAll([
      ['addHosts', { hosts: [''] }],
      ['finishJob', finish],
    ]);
    expect(outcomes).toMatchObject([
      { failure: { code: 'invalid_host' } },
      { answer: { first: false } },
    ]);
    expect(rig.logged).toEqual([]);
  });
});
