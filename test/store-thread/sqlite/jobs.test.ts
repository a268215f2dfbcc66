import { beforeEach, describe, expect, it } from 'vitest';
import { Changes } from '../../../src/store-thread/changes.ts';
import { applyReports, type Report } from '../../../src/store-thread/reports.ts';
import { openInMemory } from '../../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { MAX_REMEMBERED, MAX_UNFINISHED } from '../../../src/store-thread/sqlite/jobs.ts';

const AT = Date.UTC(2026, 0, 2);

/** Jobs on an in-memory database, as the store thread has them on a file. */
class Rig {
  forgotten = 0;
  readonly db = openInMemory();
  readonly engine = new SqliteEngine(this.db, undefined, {
    serves: true,
    onForgottenJobs: (jobs) => {
      this.forgotten += jobs;
    },
  });
  readonly #insert;

  constructor() {
    for (const host of ['a', 'b']) this.engine.addHost(host, host, Buffer.from(host));
    this.#insert = this.db.prepare(
      'INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
  }

  /** Rows as they are when the server starts, each a millisecond younger than the one before. */
  fill(hostId: string, count: number, status: 'succeeded' | null): void {
    this.db.exec('BEGIN');
    const finishedAt = status === null ? null : AT + 1;
    for (let n = 0; n < count; n++) {
      this.#insert.run(hostId, `old-${n}`, 'backup', AT, status, finishedAt, AT + n);
    }
    this.db.exec('COMMIT');
  }

  start(hostId: string, jobId: string): void {
    this.#report(['startJob', { hostId, jobId, kind: 'backup', startedAtMs: AT }]);
  }

  finish(hostId: string, jobId: string) {
    const finish = { hostId, jobId, status: 'succeeded', finishedAtMs: AT + 1 } as const;
    return this.#report(['finishJob', { ...finish, kind: 'backup', startedAtMs: AT }]);
  }

  count(where: string): number {
    return Number(this.db.prepare(`SELECT count(*) AS n FROM jobs WHERE ${where}`).get()?.n);
  }

  #report(report: Report): unknown {
    return applyReports(this.engine, [report], new Changes())[0];
  }
}

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});

describe('a host that starts jobs without end', () => {
  it('has so many unfinished ones at the most, the oldest are forgotten, finished ones stay', () => {
    rig.fill('a', MAX_UNFINISHED - 2, null);
    rig.finish('a', 'finished');
    for (let n = 0; n < 5; n++) rig.start('a', `new-${n}`);
    expect(rig.count("host_id = 'a' AND status IS NULL")).toBe(MAX_UNFINISHED);
    expect(rig.count("job_id IN ('old-0', 'old-1', 'old-2')")).toBe(0);
    expect(rig.count("job_id IN ('old-3', 'finished', 'new-0', 'new-4')")).toBe(4);
    expect(rig.forgotten).toBe(3);
  });

  it('frees its room by finishing them', () => {
    rig.fill('a', MAX_UNFINISHED, null);
    for (let n = 0; n < 5; n++) rig.finish('a', `old-${n}`);
    for (let n = 0; n < 5; n++) rig.start('a', `new-${n}`);
    expect(rig.count("host_id = 'a' AND status IS NULL")).toBe(MAX_UNFINISHED);
    expect(rig.count("host_id = 'a'")).toBe(MAX_UNFINISHED + 5);
  });

  it('takes nothing from another host', () => {
    rig.fill('b', 10, null);
    rig.fill('a', MAX_UNFINISHED, null);
    for (let n = 0; n < 20; n++) rig.start('a', `new-${n}`);
    expect(rig.count("host_id = 'b'")).toBe(10);
  });

  it('counts a repeated start once', () => {
    rig.fill('a', MAX_UNFINISHED - 1, null);
    for (let n = 0; n < 10; n++) rig.start('a', 'same');
    expect(rig.count("host_id = 'a' AND status IS NULL")).toBe(MAX_UNFINISHED);
    expect(rig.count("job_id = 'old-0'")).toBe(1);
  });

  it.each(['transaction', 'savepoint'])(
    'is counted right after a %s that was rolled back',
    (what) => {
      rig.fill('a', MAX_UNFINISHED - 1, null);
      const undone = () => {
        for (let n = 0; n < 50; n++) rig.start('a', `lost-${n}`);
        throw new Error('undo it');
      };
      if (what === 'transaction') expect(() => rig.engine.transaction(undone)).toThrow('undo it');
      else
        rig.engine.transaction(() => expect(() => rig.engine.attempt(undone)).toThrow('undo it'));
      rig.start('a', 'new');
      expect(rig.count("host_id = 'a' AND status IS NULL")).toBe(MAX_UNFINISHED);
      expect(rig.count("job_id = 'old-0'")).toBe(1);
    },
  );
});

describe('a host that finishes jobs without end', () => {
  it('has so many remembered at the most; a finish that was forgotten counts again', () => {
    rig.fill('a', MAX_REMEMBERED, 'succeeded');
    expect(rig.finish('a', 'old-1'), 'remembered').toEqual({ first: false });
    for (let n = 0; n < 3; n++) rig.finish('a', `new-${n}`);
    // The first new one makes room for 1,000 more, so that not each of them has to look for the oldest.
    expect(rig.count("host_id = 'a'")).toBe(MAX_REMEMBERED - 1_000 + 2);
    expect(rig.count("job_id IN ('old-0', 'old-1', 'old-2')")).toBe(0);
    expect(rig.count("job_id IN ('old-1001', 'old-99999', 'new-0', 'new-1', 'new-2')")).toBe(5);
    expect(rig.finish('a', 'old-1'), 'forgotten').toMatchObject({ first: true });
  });
});

it('unfinished jobs that are forgotten with the oldest ones leave room for others', () => {
  const unfinished = () => rig.count("host_id = 'a' AND status IS NULL");
  rig.fill('a', MAX_UNFINISHED - 1, null);
  rig.db.exec("UPDATE jobs SET job_id = 'unfinished-' || job_id");
  rig.fill('a', MAX_REMEMBERED - unfinished(), 'succeeded');
  rig.finish('a', 'one too many');
  const left = unfinished();
  expect(left).toBe(MAX_UNFINISHED - 1_002);
  for (let n = 0; n < 5; n++) rig.start('a', `new-${n}`);
  expect(unfinished()).toBe(left + 5);
});

describe('forgetting what is older', () => {
  const DAY = 24 * 60 * 60 * 1000;

  it('goes in steps, and says when it is done', () => {
    rig.fill('a', 1_200, 'succeeded');
    rig.fill('b', 3, null);
    const now = AT + 1_100;
    let steps = 1;
    while (rig.engine.forgetJobs(now)) {
      steps++;
      expect(steps).toBeLessThan(10);
    }
    expect(rig.count("host_id = 'a'"), 'those that are younger stay').toBe(100);
    expect(rig.count("host_id = 'b'")).toBe(0);
    expect(steps).toBeGreaterThan(2);
  });

  it('lets the host have new ones in their place', () => {
    rig.fill('a', MAX_UNFINISHED, null);
    rig.start('a', 'one too many');
    while (rig.engine.forgetJobs(Date.now() + DAY));
    expect(rig.count("host_id = 'a'")).toBe(0);
    for (let n = 0; n < 10; n++) rig.start('a', `new-${n}`);
    expect(rig.count("host_id = 'a'")).toBe(10);
  });
});

// Nobody reads these columns but whoever opens the database to find out what went wrong.
describe('what was said at the end of a job', () => {
  const END = {
    status: 'succeeded',
    finishedAtMs: AT + 5,
    exitCode: 3,
    error: 'one file could not be read',
    summary: { bytesAdded: 777, filesUnreadable: 1, snapshotId: 'abc' },
  } as const;

  it.each(['announced', 'not announced'])('is all stored, of a job that was %s', (how) => {
    const job = { hostId: 'a', jobId: 'one', kind: 'backup', startedAtMs: AT } as const;
    const reports: Report[] = [['finishJob', { ...job, ...END }]];
    if (how === 'announced') rig.start('a', 'one');
    applyReports(rig.engine, reports, new Changes());
    const { recorded_at: _, seq: __, ...row } = rig.db.prepare('SELECT * FROM jobs').get() ?? {};
    expect(row).toEqual({
      host_id: 'a',
      job_id: 'one',
      kind: 'backup',
      started_at: AT,
      status: 'succeeded',
      finished_at: AT + 5,
      exit_code: 3,
      error: 'one file could not be read',
      bytes_added: 777,
      files_unreadable: 1,
      snapshot_id: 'abc',
    });
  });
});

it('the last jobs are the newest ones, also of a host with more than 10,000', () => {
  rig.fill('a', 10_050, 'succeeded');
  rig.finish('a', 'newest');
  const ids = rig.engine.lastJobs('a').map(({ jobId }) => jobId);
  expect(ids).toHaveLength(20);
  expect(ids.slice(0, 2)).toEqual(['newest', 'old-10049']);
});
