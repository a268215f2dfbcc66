import { describe, expect, it } from 'vitest';
import { ALERT_SEVERITIES } from '../../../src/contract/alert-kinds.ts';
import type { JobKind } from '../../../src/contract/jobs.ts';
import { finishJob, startJob } from '../../../src/store-thread/rules/jobs.ts';
import type { JobRecord } from '../../../src/store-thread/rules/records.ts';
import { isLatest, reportedTime } from '../../../src/store-thread/rules/time.ts';
import { AT, OFFLINE } from './record.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const STARTED: JobRecord = {
  hostId: OFFLINE.hostId,
  jobId: 'job',
  kind: 'backup',
  startedAtMs: AT,
  finish: undefined,
};
const START = { hostId: OFFLINE.hostId, jobId: 'job', kind: 'backup', startedAtMs: AT } as const;
const FINISH = { ...START, status: 'succeeded', finishedAtMs: AT + 1 } as const;

/** The host after a finish that was received at once. */
const hostAfter = (fields: object, host = OFFLINE) =>
  finishJob(host, undefined, { ...FINISH, ...fields }, AT + 1).host;

describe('the severity of an alert', () => {
  it('is that of the contract', () => {
    expect(ALERT_SEVERITIES).toEqual({
      agent_offline: 'warning',
      backup_failed: 'warning',
      backup_incomplete: 'info',
      check_failed: 'critical',
      forget_failed: 'warning',
      init_failed: 'critical',
      prune_failed: 'critical',
    });
  });
});

describe('the start of a job', () => {
  it.each([
    [{}, 'recorded'],
    [{ kind: 'check' as const }, 'job_conflict'],
    [{ startedAtMs: AT + 1 }, 'job_conflict'],
  ])('that is known, with %j, is answered with %s, and changes nothing', (fields, answer) => {
    expect(startJob(OFFLINE, STARTED, { ...START, ...fields })).toEqual({ answer });
  });
});

describe('a duration', () => {
  it.each([
    [366 * DAY_MS, { first: true, kind: 'backup', durationMs: 366 * DAY_MS }],
    [366 * DAY_MS + 1, 'too_long'],
    [-5, { first: true, kind: 'backup', durationMs: -5 }],
  ])('of %i ms is answered with %j', (durationMs, answer) => {
    const finish = { ...FINISH, startedAtMs: FINISH.finishedAtMs - durationMs };
    expect(finishJob(OFFLINE, undefined, finish, AT + 1).answer).toEqual(answer);
  });

  it('that is negative is shown as 0', () => {
    expect(hostAfter({ startedAtMs: AT + 9 })?.lastBackup?.durationMs).toBe(0);
  });
});

describe('a time of an agent', () => {
  it('may be 5 minutes ahead, and is that of receipt if it is further ahead', () => {
    const ahead = AT + 5 * MINUTE_MS;
    expect(reportedTime(ahead, AT)).toEqual({ shownMs: ahead, orderMs: ahead });
    expect(reportedTime(ahead + 1, AT)).toEqual({ shownMs: AT, orderMs: 0 });
  });

  it('is the latest if it equals the one before, or that one is ahead of the clock', () => {
    const now = { shownMs: AT, orderMs: AT };
    expect(isLatest(now, undefined, AT)).toBe(true);
    expect(isLatest(now, AT, AT)).toBe(true);
    expect(isLatest(now, AT + 1, AT)).toBe(false);
    expect(isLatest(now, AT + 5 * MINUTE_MS + 1, AT)).toBe(true);
  });
});

describe('a backup', () => {
  it.each([
    [{ exitCode: 3 }, true],
    [{ exitCode: 2 }, false],
    [{ exitCode: 3, summary: { filesUnreadable: 0 } }, true],
    [{ summary: { filesUnreadable: 1 } }, true],
    [{ summary: { filesUnreadable: 0 } }, false],
  ])('that succeeded with %j is incomplete: %s', (fields, isIncomplete) => {
    const open = { ...OFFLINE, alerts: { backup_incomplete: AT - 9 } };
    expect(hostAfter(fields)?.alerts.backup_incomplete).toBe(isIncomplete ? AT + 1 : undefined);
    expect(hostAfter(fields, open)?.alerts.backup_incomplete).toBe(
      isIncomplete ? AT - 9 : undefined,
    );
  });

  it('that failed says nothing of what is incomplete', () => {
    const open = { ...OFFLINE, alerts: { backup_incomplete: AT - 9 } };
    expect(hostAfter({ status: 'failed' }, open)?.alerts).toEqual({
      backup_incomplete: AT - 9,
      backup_failed: AT + 1,
    });
  });
});

it.each<JobKind>(['backup', 'check', 'forget', 'init', 'prune'])(
  'the alert of a %s is open since its end, by the clock of the server if that of the agent is wrong',
  (kind) => {
    const openedAt = (finishedAtMs: number) =>
      Object.values(hostAfter({ kind, status: 'failed', finishedAtMs })?.alerts ?? {});
    expect(openedAt(AT)).toEqual([AT]);
    expect(openedAt(AT + DAY_MS)).toEqual([AT + 1]);
  },
);

describe('a job', () => {
  const ALERTS: Partial<Record<JobKind, string>> = {
    backup: 'backup_failed',
    check: 'check_failed',
    forget: 'forget_failed',
    init: 'init_failed',
    prune: 'prune_failed',
  };

  it.each<JobKind>(['backup', 'check', 'diff', 'forget', 'init', 'prune', 'restore', 'unlock'])(
    '%s opens its alert when it failed, and only a backup when it was cancelled',
    (kind) => {
      const alert = ALERTS[kind];
      const failed = alert === undefined ? [] : [alert];
      expect(Object.keys(hostAfter({ kind, status: 'failed' })?.alerts ?? {})).toEqual(failed);
      const cancelled = kind === 'backup' ? failed : [];
      expect(Object.keys(hostAfter({ kind, status: 'cancelled' })?.alerts ?? {})).toEqual(
        cancelled,
      );
    },
  );

  it('does not make a repository ready that an init could not make later', () => {
    const failedInit = hostAfter({ kind: 'init', status: 'failed', startedAtMs: AT - 9 });
    expect(failedInit?.repoStatus).toBe('init_failed');
    const earlier = { kind: 'check', startedAtMs: AT - 99, finishedAtMs: AT } as const;
    expect(hostAfter(earlier, failedInit)?.repoStatus).toBe('init_failed');
    expect(hostAfter({ ...earlier, finishedAtMs: AT + 1 }, failedInit)?.repoStatus).toBe('ready');
  });
});
