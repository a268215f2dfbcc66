import { afterEach, beforeEach, expect, it } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { MAX_REMEMBERED, MAX_UNFINISHED } from '../../../src/store-thread/postgres/jobs.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { AT, StoreRig } from '../store-rig.ts';

const HOUR_MS = 3_600_000;

unless(NO_POSTGRES).describe('the database of the instances', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off']);
  let url: string;
  let nowMs: number;
  let forgotten: number[];
  let engine: PostgresEngine;
  let rig: StoreRig;

  beforeEach(() => {
    url = server.createDatabase();
    nowMs = AT;
    forgotten = [];
    engine = PostgresEngine.open(url, {
      serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
      onForgottenJobs: (jobs) => forgotten.push(jobs),
      now: () => nowMs,
    });
    rig = new StoreRig(engine);
  });

  afterEach(() => {
    rig.close();
    engine.close();
  });

  const count = (table: string) => Number(server.sql(`SELECT count(*) FROM ${table}`, url));

  it('knows for a day that a host was removed, so that every instance learns it, and not for ever', () => {
    rig.submit('removeHost', { hostId: rig.enrol('web') });
    nowMs += 23 * HOUR_MS;
    engine.forgetJobs(0);
    expect(count('tokens')).toBe(1);
    nowMs += 2 * HOUR_MS;
    engine.forgetJobs(0);
    expect(count('tokens')).toBe(0);
  });

  it('knows for two minutes which hosts were changed, and not for ever', () => {
    server.sql(
      `DELETE FROM host_changes;
       INSERT INTO host_changes (host_ids, at)
       SELECT '{}', now() - seconds * interval '1 second' FROM unnest(ARRAY[0, 100, 140]) AS seconds`,
      url,
    );
    engine.forgetJobs(0);
    expect(count('host_changes')).toBe(2);
  });

  /** Jobs of a host, as if it had reported them one after the other. */
  function fill(hostId: string, jobs: number, status: 'NULL' | "'succeeded'"): void {
    server.sql(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at)
       SELECT '${hostId}', 'old-' || n, 'check', ${AT}, ${status}, ${AT}, ${AT} + n
       FROM generate_series(0, ${jobs} - 1) AS n;
       UPDATE hosts SET jobs = ${jobs}, jobs_unfinished = ${status === 'NULL' ? jobs : 0}`,
      url,
    );
  }

  it('keeps so many unfinished jobs of a host, and forgets the oldest', () => {
    const hostId = rig.online('web');
    fill(hostId, MAX_UNFINISHED, 'NULL');
    const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
    nowMs += HOUR_MS;
    for (const jobId of ['new-1', 'new-2']) rig.submit('startJob', { ...job, jobId });
    expect(count('jobs')).toBe(MAX_UNFINISHED);
    expect(count("jobs WHERE job_id IN ('old-0', 'old-1')")).toBe(0);
    expect(count("jobs WHERE job_id IN ('old-2', 'new-1', 'new-2')")).toBe(3);
    expect(forgotten).toEqual([1, 1]);
  });

  it('keeps so many jobs of a host, and forgets many at once', () => {
    const hostId = rig.online('web');
    fill(hostId, MAX_REMEMBERED, "'succeeded'");
    const job = { hostId, kind: 'backup', status: 'failed', finishedAtMs: AT + 1 } as const;
    nowMs += HOUR_MS;
    for (const jobId of ['new-1', 'new-2']) {
      rig.submit('finishJob', { ...job, jobId, startedAtMs: AT });
    }
    expect(count('jobs')).toBe(MAX_REMEMBERED - 1_000 + 1);
    expect(count("jobs WHERE job_id IN ('old-1001', 'new-1', 'new-2')")).toBe(3);
    expect(forgotten).toEqual([1_001]);
  });

  it('waits for the disk, also if it is set not to, and is left as it is if it waits for more', () => {
    const commits = () => {
      const session = new Session([url]);
      const [[value] = ['']] = session.transaction(
        () => session.run('SHOW synchronous_commit').rows,
      );
      session.close();
      return value;
    };
    const name = new URL(url).pathname.slice(1);
    for (const [setting, effective] of [
      ['off', 'on'],
      ['local', 'on'],
      ['remote_apply', 'remote_apply'],
    ]) {
      server.sql(`ALTER DATABASE ${name} SET synchronous_commit = ${setting}`, url);
      expect(commits(), setting).toBe(effective);
    }
  });

  it('must be in UTF-8', () => {
    server.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0", url);
    const open = () =>
      PostgresEngine.open(server.url('ascii'), { serves: undefined, onForgottenJobs: () => {} });
    expect(open).toThrow(/has the encoding SQL_ASCII; create the database with ENCODING 'UTF8'/);
  });
});
