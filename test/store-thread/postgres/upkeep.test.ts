import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Operation } from '../../../src/contract/operations.ts';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { Changes } from '../../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { MAX_REMEMBERED, MAX_UNFINISHED } from '../../../src/store-thread/postgres/jobs.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import type { JobName } from '../../../src/store-thread/rows.ts';
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

  /** Jobs of a host, as if it had reported them one after the other to another instance. */
  function fill(hostId: string, jobs: number, status: 'NULL' | "'succeeded'"): void {
    server.sql(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at)
       SELECT '${hostId}', 'old-' || n, 'check', ${AT}, ${status}, ${AT}, ${AT} + n
       FROM generate_series(0, ${jobs} - 1) AS n`,
      url,
    );
  }

  const starts = (hostId: string, from: number, jobs: number): Operation[] =>
    Array.from({ length: jobs }, (_, n) => [
      'startJob',
      { hostId, jobId: `new-${from + n}`, kind: 'backup', startedAtMs: AT },
    ]);

  it('counts the jobs of a host at the latest after its first hundred, and forgets the oldest unfinished ones', () => {
    const hostId = rig.online('web');
    fill(hostId, MAX_UNFINISHED, 'NULL');
    nowMs += HOUR_MS;
    rig.submitAll(starts(hostId, 0, 99));
    expect(forgotten).toEqual([]);
    rig.submitAll(starts(hostId, 99, 1));
    expect(count('jobs')).toBe(MAX_UNFINISHED);
    expect(count("jobs WHERE job_id IN ('old-0', 'old-99')")).toBe(0);
    expect(count("jobs WHERE job_id IN ('old-100', 'new-0', 'new-99')")).toBe(3);
    // There is no room left, so each new one is one too many.
    rig.submitAll(starts(hostId, 100, 1));
    rig.submitAll(starts(hostId, 101, 3));
    expect(forgotten).toEqual([100, 1, 3]);
    expect(count('jobs')).toBe(MAX_UNFINISHED);
  });

  it('counts the jobs of a host sooner the fewer are left until the limit', () => {
    const hostId = rig.online('web');
    fill(hostId, MAX_UNFINISHED - 105, 'NULL');
    nowMs += HOUR_MS;
    rig.submitAll(starts(hostId, 0, 100));
    rig.submitAll(starts(hostId, 100, 5));
    expect(count('jobs')).toBe(MAX_UNFINISHED);
    expect(forgotten).toEqual([]);
    rig.submitAll(starts(hostId, 105, 1));
    expect(forgotten).toEqual([1]);
  });

  it('never lets a host have more than the limits if it reports to one instance', () => {
    const hostId = rig.online('web');
    for (let from = 0; from < MAX_UNFINISHED + 700; from += 350) {
      rig.submitAll(starts(hostId, from, 350));
      expect(count('jobs')).toBeLessThanOrEqual(MAX_UNFINISHED);
    }
    expect(forgotten.reduce((sum, jobs) => sum + jobs, 0)).toBe(850);
  });

  it('counts only ten hosts in one batch, and the others with their next jobs', () => {
    const hostIds = Array.from({ length: 12 }, (_, n) => rig.online(`web-${n}`));
    for (const hostId of hostIds) fill(hostId, MAX_UNFINISHED, 'NULL');
    nowMs += HOUR_MS;
    rig.submitAll(hostIds.flatMap((hostId) => starts(hostId, 0, 100)));
    expect(forgotten).toEqual(Array(10).fill(100));
    rig.submitAll(hostIds.flatMap((hostId) => starts(hostId, 100, 1)));
    expect(forgotten.slice(10, 12), 'first those that have waited').toEqual([101, 101]);
    expect(forgotten.slice(12)).toEqual(Array(8).fill(1));
  });

  it('has no jobs of a host that was removed', () => {
    const hostId = rig.online('web');
    rig.submitAll(starts(hostId, 0, 2));
    rig.submit('removeHost', { hostId });
    expect(count('jobs')).toBe(0);
  });

  it('says of a job of which only the start is stored that it has not finished', () => {
    const hostId = rig.online('web');
    rig.submitAll(starts(hostId, 0, 1));
    const job = { hostId, jobId: 'new-0' };
    expect(engine.transaction(() => engine.haveFinished([job]))).toEqual([false]);
    rig.submit('finishJob', { ...job, status: 'failed', finishedAtMs: AT + 1 });
    expect(engine.transaction(() => engine.haveFinished([job]))).toEqual([true]);
  });

  it('says of a removed host that its job has not finished, and of a locked one at once that it does not know', () => {
    // With an id that cannot be stored as it is.
    const [free, locked, removed] = ['free', 'locked', 'removed'].map((host) => {
      const job = { hostId: rig.online(host), jobId: '\0one' };
      rig.submit('startJob', { ...job, kind: 'check', startedAtMs: AT });
      return job;
    }) as [JobName, JobName, JobName];
    const jobs = [free, locked, removed];
    // Another instance has stored the starts. The histogram that counts a job is that of the instance that stored its end.
    server.sql('UPDATE jobs SET instance = instance + 1', url);
    for (const job of jobs) {
      rig.submit('finishJob', { ...job, status: 'succeeded', finishedAtMs: AT + 1 });
    }
    rig.submit('removeHost', { hostId: removed.hostId });
    const other = new Session([url]);
    other.transaction(() => {
      other.run('SELECT FROM hosts WHERE host_id = $1 FOR UPDATE', locked.hostId);
      expect(engine.transaction(() => engine.haveFinished(jobs))).toEqual([true, undefined, false]);
    });
    expect(engine.transaction(() => engine.haveFinished(jobs))).toEqual([true, true, false]);
    server.sql('UPDATE jobs SET instance = instance + 1', url);
    expect(engine.transaction(() => engine.haveFinished(jobs))).toEqual([false, false, false]);
    other.close();
  });

  it('forgets the oldest jobs, 500 at a time, without waiting for one that is being written', () => {
    const hostId = rig.online('web');
    fill(hostId, 502, "'succeeded'");
    const other = new Session([url]);
    other.transaction(() => {
      other.run("SELECT FROM jobs WHERE job_id = 'old-1' FOR UPDATE");
      expect(
        engine.transaction(() => engine.forgetJobs(AT + 502)),
        'there are more',
      ).toBe(true);
      const left = other.run('SELECT job_id FROM jobs ORDER BY recorded_at').rows.flat();
      expect(left).toEqual(['old-1', 'old-501']);
    });
    other.close();
    expect(engine.transaction(() => engine.forgetJobs(AT + 501))).toBe(false);
    expect(count("jobs WHERE job_id = 'old-501'"), 'it is not older').toBe(1);
    expect(count('jobs')).toBe(1);
  });

  it('has all that is known of a job, also if the others of its batch tell less', () => {
    const hostId = rig.online('web');
    const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
    const full = {
      status: 'failed',
      finishedAtMs: AT + 1,
      exitCode: 3,
      error: 'full',
      summary: { bytesAdded: 5, filesUnreadable: 6, snapshotId: '0123abcd' },
    } as const;
    rig.submit('startJob', { ...job, jobId: 'announced' });
    const outcomes = rig.submitAll([
      ['startJob', { ...job, jobId: 'running' }],
      ['finishJob', { ...job, jobId: 'new', ...full }],
      ['finishJob', { ...job, jobId: 'new-short', status: 'succeeded', finishedAtMs: AT + 2 }],
      ['finishJob', { ...job, jobId: 'announced', ...full }],
    ]);
    expect(outcomes.filter((outcome) => 'failure' in outcome)).toEqual([]);
    const columns = `job_id, kind, started_at, status, finished_at, exit_code, error, bytes_added,
      files_unreadable, snapshot_id, recorded_at`;
    const end = `backup|${AT}|failed|${AT + 1}|3|full|5|6|0123abcd|${AT}`;
    expect(server.sql(`SELECT ${columns} FROM jobs ORDER BY job_id`, url).split('\n')).toEqual([
      `announced|${end}`,
      `new|${end}`,
      `new-short|backup|${AT}|succeeded|${AT + 2}||||||${AT}`,
      `running|backup|${AT}||||||||${AT}`,
    ]);
  });

  it('counts the jobs of a host anew that was removed and added again, here or by another process', () => {
    const hostId = rig.online('web');
    const add = () =>
      engine.transaction(() =>
        engine.addHosts([{ hostId, host: 'web', tokenDigest: Buffer.alloc(32, 1) }]),
      );
    const removals = [
      () => rig.submit('removeHost', { hostId }),
      () => {
        server.sql(
          `DELETE FROM hosts; DELETE FROM jobs;
           UPDATE tokens SET token_digest = NULL, changed = pg_current_xact_id()`,
          url,
        );
        const changes = new Changes();
        engine.follow(changes);
        expect(changes.removed).toEqual([hostId]);
      },
    ];
    for (const remove of removals) {
      rig.submitAll(starts(hostId, 0, 99));
      remove();
      server.sql('DELETE FROM tokens', url);
      add();
      fill(hostId, MAX_UNFINISHED, 'NULL');
      rig.submitAll(starts(hostId, 0, 99));
      expect(forgotten).toEqual([]);
      server.sql('DELETE FROM jobs', url);
      rig.submit('removeHost', { hostId });
      server.sql('DELETE FROM tokens', url);
      add();
    }
  });

  it('has one time of the clock by which jobs are forgotten: the last that was saved', () => {
    expect(engine.transaction(() => engine.clock())).toBeDefined();
    for (const at of [AT + 1, AT + 2]) engine.transaction(() => engine.saveClock(at));
    expect(server.sql('SELECT * FROM clock', url)).toBe(`1|${AT + 2}`);
    expect(engine.clock()).toBe(AT + 2);
  });

  it('keeps so many jobs of a host, and forgets many at once', () => {
    const hostId = rig.online('web');
    fill(hostId, MAX_REMEMBERED, "'succeeded'");
    nowMs += HOUR_MS;
    const finish = { hostId, kind: 'backup', status: 'failed', startedAtMs: AT } as const;
    const finishes = (from: number, jobs: number): Operation[] =>
      Array.from({ length: jobs }, (_, n) => [
        'finishJob',
        { ...finish, jobId: `new-${from + n}`, finishedAtMs: AT + 1 },
      ]);
    rig.submitAll(finishes(0, 100));
    rig.submitAll(finishes(100, 1));
    expect(count('jobs')).toBe(MAX_REMEMBERED - 1_000 + 1);
    expect(count("jobs WHERE job_id IN ('old-1100', 'new-0', 'new-100')")).toBe(3);
    expect(count("jobs WHERE job_id = 'old-1099'")).toBe(0);
    expect(forgotten).toEqual([1_100]);
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
});
