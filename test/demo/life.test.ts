import { describe, expect, test } from 'vitest';
import { JOB_KINDS } from '../../src/contract/jobs.ts';
import { type Fate, planFleet } from '../../src/demo/fleet.ts';
import { HostLife, type Job } from '../../src/demo/life.ts';

const [{ role } = { role: undefined }] = planFleet(1);

function lifeOf(fate: Fate): HostLife {
  if (role === undefined) throw new Error('no host is planned');
  return new HostLife({ role, fate });
}

function jobsOf(life: HostLife, count: number): Job[] {
  return Array.from({ length: count }, () => life.next());
}

function medianMs(jobs: readonly Job[], kind: string): number {
  const durations = jobs
    .filter((job) => job.kind === kind && job.status === 'succeeded')
    .map(({ durationMs }) => durationMs)
    .sort((a, b) => a - b);
  return durations[durations.length >> 1] ?? Number.NaN;
}

describe('a steady host', () => {
  test('has jobs of every kind and status', () => {
    const life = lifeOf('steady');
    const jobs = [...life.past(), ...jobsOf(life, 5_000)];
    expect(new Set(jobs.map(({ kind }) => kind))).toEqual(new Set(JOB_KINDS));
    expect(new Set(jobs.map(({ status }) => status)).size).toBe(3);
  });

  test('has durations that one believes', () => {
    const jobs = jobsOf(lifeOf('steady'), 20_000);
    for (const { durationMs } of jobs) expect(Number.isSafeInteger(durationMs)).toBe(true);
    expect(Math.min(...jobs.map(({ durationMs }) => durationMs))).toBeGreaterThanOrEqual(0);
    expect(medianMs(jobs, 'unlock')).toBeGreaterThan(500);
    expect(medianMs(jobs, 'unlock')).toBeLessThan(2_000);
    expect(medianMs(jobs, 'backup')).toBeGreaterThan(60_000);
    expect(medianMs(jobs, 'check')).toBeGreaterThan(medianMs(jobs, 'backup'));
    expect(medianMs(jobs, 'check')).toBeLessThan(6 * 3_600_000);
  });

  test('has a repository that grows with backups, shrinks when pruned, and keeps its size', () => {
    const life = lifeOf('steady');
    const first = life.changedStats();
    let last = first;
    let grew = 0;
    let shrank = 0;
    let forgot = 0;
    for (let job = 0; job < 5_000; job++) {
      const { kind, status } = life.next();
      const stats = life.changedStats();
      if (stats === undefined || last === undefined) continue;
      expect(status).toBe('succeeded');
      if (stats.totalSizeBytes > last.totalSizeBytes && kind === 'backup') grew++;
      if (stats.totalSizeBytes < last.totalSizeBytes) {
        expect(kind).toBe('prune');
        shrank++;
      }
      if (stats.snapshotCount < last.snapshotCount) {
        expect(kind).toBe('forget');
        forgot++;
      }
      expect(Number.isSafeInteger(stats.totalSizeBytes)).toBe(true);
      expect(stats.snapshotCount).toBeGreaterThan(0);
      last = stats;
    }
    expect(grew).toBeGreaterThan(100);
    expect(shrank).toBeGreaterThan(10);
    expect(forgot).toBeGreaterThan(100);
    expect(last?.snapshotCount, 'forget keeps their number').toBeLessThan(150);
    const growth = (last?.totalSizeBytes ?? 0) / (first?.totalSizeBytes ?? 0);
    expect(growth).toBeGreaterThan(0.3);
    expect(growth).toBeLessThan(3);
  });

  test('has a past that ends with a backup', () => {
    const past = lifeOf('steady').past();
    expect(past.at(-1)?.kind).toBe('backup');
    const ages = past.map(({ finishedAgoMs }) => finishedAgoMs);
    expect(ages).toEqual([...ages].sort((a, b) => b - a));
  });
});

test('every backup of a failing host fails, its other jobs do not', () => {
  const life = lifeOf('failing');
  const jobs = [life.past().at(-1), ...jobsOf(life, 500)];
  const backups = jobs.filter((job) => job?.kind === 'backup');
  expect(new Set(backups.map((job) => job?.status))).toEqual(new Set(['failed']));
  expect(jobs.some((job) => job?.kind === 'forget' && job.status === 'succeeded')).toBe(true);
});

test('a host whose repository could not be made has no statistics and no backups', () => {
  const life = lifeOf('uninitialised');
  const jobs = [...life.past(), ...jobsOf(life, 100)];
  expect(jobs[0]).toMatchObject({ kind: 'init', status: 'failed' });
  expect(jobs.some(({ kind }) => kind === 'backup')).toBe(false);
  expect(life.changedStats()).toBeUndefined();
});

test('a host that was never backed up has an empty repository', () => {
  const life = lifeOf('never');
  const jobs = [...life.past(), ...jobsOf(life, 100)];
  expect(jobs.some(({ kind }) => kind === 'backup')).toBe(false);
  expect(life.changedStats()?.snapshotCount).toBe(0);
});

test('every check and prune of a damaged host fails, and its backups do not', () => {
  const life = lifeOf('damaged');
  const past = life.past();
  expect(past.at(-1)).toMatchObject({ kind: 'check', status: 'failed' });
  expect(past.at(-1)?.finishedAgoMs).toBeLessThan(past.at(-2)?.finishedAgoMs ?? 0);
  const jobs = jobsOf(life, 1_000);
  const of = (kind: string) => jobs.filter((job) => job.kind === kind);
  for (const { status } of [...of('check'), ...of('prune')]) expect(status).toBe('failed');
  expect(of('backup').filter(({ status }) => status === 'succeeded').length).toBeGreaterThan(300);
});

test('a stale host has not been backed up for a week, and is not backed up', () => {
  const life = lifeOf('stale');
  const backups = life.past().filter(({ kind }) => kind === 'backup');
  const DAY = 86_400_000;
  expect(backups.length).toBeGreaterThan(0);
  for (const { finishedAgoMs } of backups) expect(finishedAgoMs).toBeGreaterThan(7 * DAY);
  const later = jobsOf(life, 200).filter(({ kind }) => kind === 'backup' || kind === 'prune');
  expect(later).toEqual([]);
});

test('the last backup of the other hosts is less than a day old', () => {
  for (const fate of ['steady', 'failing', 'damaged', 'flaky', 'gone'] as const) {
    const backups = lifeOf(fate).past();
    const last = backups.filter(({ kind }) => kind === 'backup').at(-1);
    expect(last?.finishedAgoMs, fate).toBeLessThan(86_400_000);
  }
});

test('a job ends with the exit code that restic has, and a failed one with an error', () => {
  const jobs = jobsOf(lifeOf('steady'), 5_000);
  for (const { status, exitCode, error } of jobs) {
    if (status === 'succeeded') expect([exitCode, error]).toEqual([0, undefined]);
    else if (status === 'cancelled') expect([exitCode, error]).toEqual([130, undefined]);
    else expect([[1, 11], error]).toEqual([expect.arrayContaining([exitCode]), expect.any(String)]);
  }
  const lasting = jobsOf(lifeOf('failing'), 200).filter(({ kind }) => kind === 'backup');
  for (const job of lasting)
    expect(job).toMatchObject({ exitCode: 12, error: 'Fatal: wrong password or no key found' });
});
