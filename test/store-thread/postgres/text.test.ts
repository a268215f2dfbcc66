import { afterEach, beforeEach, expect, it } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { AT, StoreRig } from '../store-rig.ts';

unless(NO_POSTGRES).describe('text with several characters U+0000', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let session: Session;
  let engine: PostgresEngine;
  let rig: StoreRig;

  beforeEach(() => {
    const url = server.createDatabase();
    engine = PostgresEngine.open(url, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: () => {},
    });
    session = new Session([url]);
    rig = new StoreRig(engine);
  });

  afterEach(() => {
    rig.close();
    session.close();
    engine.close();
  });

  it('is stored with the symbol in place of each, and a repeat of its report is known', () => {
    const hostId = rig.online('web');
    const job = { hostId, jobId: '\0a\0', kind: 'backup', startedAtMs: AT } as const;
    const end = { status: 'failed', finishedAtMs: AT + 1, error: 'no\0 disk\0' } as const;
    expect(rig.submit('finishJob', { ...job, ...end })).toMatchObject({ first: true });
    expect(rig.submit('finishJob', { ...job, ...end })).toEqual({ first: false });
    rig.submit('seen', { hostId, agent: { agentVersion: '1\0\0', hostname: '\0web\0' } });
    expect(session.rows('SELECT job_id, error FROM jobs')).toEqual([['␀a␀', 'no␀ disk␀']]);
    expect(session.rows('SELECT agent_version, hostname FROM hosts')).toEqual([['1␀␀', '␀web␀']]);
    const announced = { ...job, jobId: 'b\0' };
    rig.submit('startJob', announced);
    expect(rig.submit('finishJob', { ...announced, ...end })).toMatchObject({ first: true });
    expect(session.rows("SELECT status FROM jobs WHERE job_id = 'b␀'")).toEqual([['failed']]);
    expect(rig.logged).toEqual([]);
  });
});
