import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { Jobs } from '../../../src/store-thread/postgres/jobs.ts';
import { lockUntilWaitedFor, NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { AT, StoreRig } from '../store-rig.ts';

unless(NO_POSTGRES).describe('a job that is taken for new without a look', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let url: string;
  let engine: PostgresEngine;
  let rig: StoreRig;

  beforeEach(() => {
    url = server.createDatabase();
    engine = PostgresEngine.open(url, {
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

  it('is taken for new again after an operation has failed', () => {
    const hostId = rig.online('web');
    const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
    const end = { status: 'succeeded', finishedAtMs: AT + 1 } as const;
    rig.submitAll([
      ['addHosts', { hosts: [''] }],
      ['finishJob', { ...job, ...end, jobId: 'first' }],
    ]);
    const look = vi.spyOn(Jobs.prototype, 'select');
    onTestFinished(() => look.mockRestore());
    rig.submit('finishJob', { ...job, ...end, jobId: 'second' });
    expect(look).not.toHaveBeenCalled();
    rig.submit('finishJob', { ...job, ...end, jobId: 'second' });
    expect(look).toHaveBeenCalled();
  });

  it('and that another instance finishes while the batch waits for it is answered as a repeat', async () => {
    const hostId = rig.online('web');
    const job = { hostId, jobId: 'announced', kind: 'backup', startedAtMs: AT } as const;
    rig.submit('startJob', job);
    await lockUntilWaitedFor(
      url,
      `SELECT FROM hosts FOR UPDATE;
       UPDATE jobs SET status = 'succeeded', finished_at = ${AT + 1}, instance = 99`,
    );
    const finish = { hostId, jobId: 'announced', status: 'succeeded' } as const;
    expect(rig.submit('finishJob', { ...finish, finishedAtMs: AT + 1 })).toEqual({ first: false });
  });
});
