import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JobKind, JobStatus } from '../../src/contract/jobs.ts';
import {
  CONNECTIONS_PER_LOOP,
  type Operation,
  type Request,
} from '../../src/contract/operations.ts';
import type { Engine } from '../../src/store-thread/engine.ts';
import { AT, StoreRig } from './store-rig.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const NOT_ENROLLED = '01J8ZQ4X3N0000000000000000';

let rig: StoreRig;
let jobs = 0;

/** A finish of a job that was never announced. */
function finish(
  host: string,
  kind: JobKind,
  status: JobStatus,
  finishedAtMs: number,
  jobId = `job-${++jobs}`,
) {
  const hostId = hostIdOf(host);
  const times = { startedAtMs: finishedAtMs - 1_500, finishedAtMs };
  return rig.submit('finishJob', { hostId, jobId, kind, status, ...times });
}

function hostIdOf(host: string): string {
  return rig.submit('listHosts', null).find((one) => one.host === host)?.hostId ?? NOT_ENROLLED;
}

/**
 * What every engine must do, with one loop and with three. The store runs in the thread of the test, with a clock that
 * the test sets, so that minutes take milliseconds.
 */
export function describeStore(name: string, open: () => Engine): void {
  describe.each([1, 3])(`${name}, %i loops`, (loops) => {
    let engine: Engine;

    beforeEach(() => {
      vi.useFakeTimers({ now: AT });
      engine = open();
      rig = new StoreRig(engine, loops);
    });

    afterEach(() => {
      rig.close();
      engine.close();
      vi.useRealTimers();
    });

    describe('the alert of a job', () => {
      it.each<[JobKind, string, 'critical' | 'warning']>([
        ['backup', 'backup_failed', 'warning'],
        ['check', 'check_failed', 'critical'],
        ['forget', 'forget_failed', 'warning'],
        ['init', 'init_failed', 'critical'],
        ['prune', 'prune_failed', 'critical'],
      ])(
        'opens with a failed %s as %s (%s), and ends with the next success',
        (kind, alert, severity) => {
          rig.online('web');
          finish('web', kind, 'failed', AT);
          expect(rig.alerts('web')).toEqual([alert]);
          expect(rig.host('web')?.openAlerts).toMatchObject({ [severity]: 1 });
          finish('web', kind, 'failed', AT + 1);
          expect(rig.alerts('web'), 'one of a kind').toEqual([alert]);
          finish('web', kind, 'succeeded', AT + 2);
          expect(rig.alerts('web')).toEqual([]);
          expect(rig.host('web')?.openAlerts).toEqual({ critical: 0, info: 0, warning: 0 });
        },
      );

      it.each<JobKind>(['diff', 'restore', 'unlock', 'update'])('never opens with a %s', (kind) => {
        rig.online('web');
        for (const status of ['failed', 'cancelled'] as const) finish('web', kind, status, AT);
        expect(rig.alerts('web')).toEqual([]);
      });

      it('opens with a cancelled backup, and with no other cancelled job', () => {
        rig.online('web');
        for (const kind of ['check', 'forget', 'init', 'prune'] as const) {
          finish('web', kind, 'cancelled', AT);
        }
        expect(rig.alerts('web')).toEqual([]);
        finish('web', 'backup', 'cancelled', AT);
        expect(rig.alerts('web')).toEqual(['backup_failed']);
      });

      it('is not ended by a cancelled job, which does not hide the failure before it either', () => {
        rig.online('web');
        finish('web', 'check', 'failed', AT);
        finish('web', 'check', 'cancelled', AT + 10);
        expect(rig.alerts('web')).toEqual(['check_failed']);
        finish('web', 'check', 'succeeded', AT + 5);
        expect(rig.alerts('web'), 'the success is later than the failure').toEqual([]);
      });

      it('is not ended by the success of another kind or of another host', () => {
        rig.online('web');
        rig.online('mail');
        finish('web', 'check', 'failed', AT);
        finish('web', 'prune', 'succeeded', AT + 1);
        finish('mail', 'check', 'succeeded', AT + 1);
        expect(rig.alerts('web')).toEqual(['check_failed']);
      });

      it.each<JobKind>(['backup', 'check', 'forget', 'prune'])(
        'follows the %s that finished last, not the one that was reported last',
        (kind) => {
          rig.online('web');
          finish('web', kind, 'succeeded', AT);
          finish('web', kind, 'failed', AT - 1);
          expect(rig.alerts('web'), 'a failure before the success').toEqual([]);
          finish('web', kind, 'failed', AT + 5);
          finish('web', kind, 'succeeded', AT + 4);
          expect(rig.alerts('web'), 'a success before the failure').toEqual([`${kind}_failed`]);
          finish('web', kind, 'succeeded', AT + 5);
          expect(rig.alerts('web'), 'of two at one time the later report').toEqual([]);
        },
      );

      it('is not ended by a success that is reported late, however old it is', () => {
        rig.online('web');
        finish('web', 'check', 'failed', AT);
        for (const age of [MINUTE, 60 * MINUTE, 10 * DAY]) {
          finish('web', 'check', 'succeeded', AT - age);
          expect(rig.alerts('web')).toEqual(['check_failed']);
        }
      });

      it('opens also when the host reports something else in the same batch', () => {
        const hostId = rig.online('web');
        const check = { hostId, jobId: 'check', kind: 'check', startedAtMs: AT } as const;
        rig.submitAll([
          ['finishJob', { ...check, status: 'failed', finishedAtMs: AT + 1 }],
          ['repoStats', { hostId, snapshotCount: 4 }],
        ]);
        expect(rig.alerts('web')).toEqual(['check_failed']);
        expect(rig.host('web')).toMatchObject({ snapshotCount: 4, openAlerts: { critical: 1 } });
      });
    });

    describe('a clock that is ahead', () => {
      const FUTURE = Date.UTC(2099, 0, 1);

      it.each<JobKind>(['backup', 'check', 'forget', 'prune'])(
        'does not make the success of a %s hide the failures after it',
        (kind) => {
          rig.online('web');
          expect(finish('web', kind, 'succeeded', FUTURE)).toMatchObject({ durationMs: 1_500 });
          finish('web', kind, 'failed', AT - 60_000);
          expect(rig.alerts('web')).toEqual([`${kind}_failed`]);
          if (kind === 'backup') {
            expect(rig.host('web')?.lastBackup).toEqual({
              finishedAtMs: AT - 60_000,
              succeeded: false,
            });
          }
        },
      );

      it('does not keep the alert of its failure open', () => {
        rig.online('web');
        finish('web', 'prune', 'failed', FUTURE);
        expect(rig.alerts('web')).toEqual(['prune_failed']);
        finish('web', 'prune', 'succeeded', AT - 60_000);
        expect(rig.alerts('web')).toEqual([]);
      });

      it('is shown as the time of receipt if it is more than 5 minutes ahead', () => {
        rig.online('web');
        finish('web', 'backup', 'succeeded', AT + 5 * MINUTE);
        expect(rig.host('web')?.lastBackup).toMatchObject({ finishedAtMs: AT + 5 * MINUTE });
        rig.online('mail');
        finish('mail', 'backup', 'succeeded', AT + 5 * MINUTE + 1);
        expect(rig.host('mail')?.lastBackup).toMatchObject({ finishedAtMs: AT });
        vi.advanceTimersByTime(MINUTE);
        finish('mail', 'backup', 'failed', FUTURE);
        expect(rig.host('mail')?.lastBackup).toEqual({
          finishedAtMs: AT + MINUTE,
          succeeded: false,
        });
      });

      it('does not keep the time of the last success from going on with a right clock', () => {
        rig.online('web');
        for (const kind of ['backup', 'check'] as const) {
          finish('web', kind, 'succeeded', FUTURE);
          finish('web', kind, 'succeeded', AT - MINUTE);
        }
        expect(rig.host('web')).toMatchObject({
          backupSuccessMs: AT - MINUTE,
          checkSuccessMs: AT - MINUTE,
        });
      });

      it('is not when a backup or a check last succeeded either', () => {
        rig.online('web');
        finish('web', 'backup', 'succeeded', FUTURE);
        finish('web', 'check', 'succeeded', FUTURE);
        expect(rig.host('web')).toMatchObject({ backupSuccessMs: AT, checkSuccessMs: AT });
      });

      it('does not let a late report replace a later one with a right time', () => {
        rig.online('web');
        for (const kind of ['backup', 'check'] as const) finish('web', kind, 'failed', FUTURE);
        vi.advanceTimersByTime(2 * MINUTE);
        for (const kind of ['backup', 'check'] as const) {
          finish('web', kind, 'succeeded', AT + 2 * MINUTE);
          finish('web', kind, 'failed', AT + MINUTE);
        }
        expect(rig.host('web')?.lastBackup).toEqual({
          finishedAtMs: AT + 2 * MINUTE,
          succeeded: true,
        });
        expect(rig.alerts('web')).toEqual([]);
      });

      it('that an earlier version has stored does not freeze a host', () => {
        rig.online('web');
        vi.setSystemTime(FUTURE);
        finish('web', 'backup', 'succeeded', FUTURE);
        finish('web', 'check', 'failed', FUTURE);
        vi.setSystemTime(AT);
        expect(rig.host('web')?.lastBackup).toMatchObject({ finishedAtMs: FUTURE });
        finish('web', 'backup', 'failed', AT);
        finish('web', 'check', 'succeeded', AT);
        expect(rig.host('web')?.lastBackup).toEqual({ finishedAtMs: AT, succeeded: false });
        expect(rig.alerts('web')).toEqual(['backup_failed']);
      });
    });

    describe('backup_incomplete', () => {
      const backup = (summary: object, status: JobStatus = 'succeeded') => {
        const hostId = hostIdOf('web');
        const job = { hostId, jobId: `job-${++jobs}`, kind: 'backup', startedAtMs: AT } as const;
        rig.submit('finishJob', { ...job, status, finishedAtMs: AT + jobs, ...summary });
      };

      it.each([{ exitCode: 3 }, { summary: { filesUnreadable: 1 } }])(
        'opens with a successful backup with %j, and ends with the next one without',
        (incomplete) => {
          rig.online('web');
          backup(incomplete);
          expect(rig.alerts('web')).toEqual(['backup_incomplete']);
          expect(rig.host('web')).toMatchObject({
            lastBackup: { succeeded: true },
            openAlerts: { critical: 0, info: 1, warning: 0 },
          });
          backup({ exitCode: 1 }, 'failed');
          expect(rig.alerts('web')).toEqual(['backup_failed', 'backup_incomplete']);
          backup({ exitCode: 0, summary: { filesUnreadable: 0 } });
          expect(rig.alerts('web')).toEqual([]);
        },
      );

      it('does not open with a failed backup, nor with another job', () => {
        rig.online('web');
        backup({ exitCode: 3 }, 'failed');
        const hostId = hostIdOf('web');
        const job = { hostId, jobId: 'check', kind: 'check', startedAtMs: AT } as const;
        const end = { status: 'succeeded', finishedAtMs: AT, exitCode: 3 } as const;
        rig.submit('finishJob', { ...job, ...end });
        expect(rig.alerts('web')).toEqual(['backup_failed']);
      });
    });

    describe('init_failed', () => {
      it.each<JobKind>(['backup', 'check', 'forget', 'init', 'prune', 'restore'])(
        'ends with a later success of a %s, which shows that there is a repository',
        (kind) => {
          rig.online('web');
          finish('web', 'init', 'failed', AT);
          finish('web', kind, 'succeeded', AT - 1);
          expect(rig.alerts('web'), 'a success before it').toEqual(['init_failed']);
          finish('web', kind, 'succeeded', AT + 1);
          expect(rig.alerts('web')).toEqual([]);
          expect(rig.host('web')?.repoStatus).toBe('ready');
        },
      );

      it.each<JobKind>(['diff', 'unlock', 'update'])('does not end with a %s', (kind) => {
        rig.online('web');
        finish('web', 'init', 'failed', AT);
        finish('web', kind, 'succeeded', AT + 1);
        expect(rig.alerts('web')).toEqual(['init_failed']);
        expect(rig.host('web')?.repoStatus).toBe('init_failed');
      });

      it('ends when the repository is reported to be ready', () => {
        const hostId = rig.online('web');
        finish('web', 'init', 'failed', AT);
        rig.submit('repoStats', { hostId, snapshotCount: 1 });
        expect(rig.alerts('web')).toEqual(['init_failed']);
        rig.submit('repoStats', { hostId, repoStatus: 'ready' });
        expect(rig.alerts('web')).toEqual([]);
      });

      it('does not open where there is a repository already', () => {
        rig.online('web');
        finish('web', 'init', 'succeeded', AT);
        finish('web', 'init', 'failed', AT + 1);
        expect(rig.alerts('web')).toEqual([]);
        expect(rig.host('web')?.repoStatus).toBe('ready');
      });
    });

    describe('a host', () => {
      it('shows the backup that finished last', () => {
        rig.online('web');
        expect(rig.host('web')?.lastBackup).toBe('none');
        finish('web', 'backup', 'failed', AT + 5);
        finish('web', 'backup', 'succeeded', AT + 4);
        finish('web', 'check', 'succeeded', AT + 9);
        expect(rig.host('web')?.lastBackup).toEqual({ finishedAtMs: AT + 5, succeeded: false });
        finish('web', 'backup', 'succeeded', AT + 6);
        expect(rig.host('web')?.lastBackup).toEqual({ finishedAtMs: AT + 6, succeeded: true });
      });

      it('shows the last success, not one before it that is reported late', () => {
        rig.online('web');
        for (const kind of ['backup', 'check'] as const) {
          finish('web', kind, 'succeeded', AT);
          finish('web', kind, 'succeeded', AT - MINUTE);
        }
        expect(rig.host('web')).toMatchObject({ backupSuccessMs: AT, checkSuccessMs: AT });
      });

      it('keeps what a backup added while later ones do not tell', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'told', kind: 'backup', startedAtMs: AT } as const;
        const end = { status: 'succeeded', finishedAtMs: AT + 1 } as const;
        rig.submit('finishJob', { ...job, ...end, summary: { bytesAdded: 777 } });
        finish('web', 'backup', 'failed', AT + 2);
        finish('web', 'backup', 'succeeded', AT + 3);
        expect(rig.host('web')?.backupAddedBytes).toBe(777);
        const late = { ...job, jobId: 'late', startedAtMs: AT - 9, finishedAtMs: AT } as const;
        rig.submit('finishJob', { ...late, status: 'succeeded', summary: { bytesAdded: 1 } });
        expect(rig.host('web')?.backupAddedBytes, 'not of an earlier one').toBe(777);
      });

      it('shows a backup that ended before it began, as with a clock that was set meanwhile', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'back', kind: 'backup', startedAtMs: AT } as const;
        const end = { status: 'succeeded', finishedAtMs: AT - MINUTE } as const;
        expect(rig.submit('finishJob', { ...job, ...end })).toMatchObject({ first: true });
        expect(rig.host('web')).toMatchObject({
          lastBackup: { finishedAtMs: AT - MINUTE, succeeded: true },
          backupDurationMs: 0,
        });
        expect(rig.logged).toEqual([]);
      });

      it('shows what its agent said in the last hello, as after an update', () => {
        const hostId = rig.online('web');
        const agent = { agentVersion: '2', hostname: 'x', arch: 'a\u001bb' };
        rig.submit('hello', { hostId, connection: 100, agent });
        expect(rig.host('web')?.info).toBe(
          ',agent_version="2",restic_version="",os="",arch="a\ufffdb"',
        );
      });

      it('has its id for a name if an earlier version took one of white space', () => {
        const hostId = rig.enrol('web');
        engine.renameHost(hostId, ' \u00a0 ');
        rig.hello(hostId);
        expect(rig.shown).toMatchObject([{ hostId, host: hostId, online: true }]);
      });

      it('that has never connected has no row after a restart either', () => {
        rig.enrol('web');
        rig.close();
        rig = new StoreRig(engine, loops);
        expect(rig.shown).toEqual([]);
        expect(rig.submit('listHosts', null)).toMatchObject([{ host: 'web', status: 'pending' }]);
      });

      it('has the repository that an init made, or did not make', () => {
        rig.online('web');
        expect(rig.host('web')?.repoStatus).toBe('unknown');
        finish('web', 'init', 'failed', AT);
        expect(rig.host('web')?.repoStatus).toBe('init_failed');
        finish('web', 'init', 'succeeded', AT + 1);
        expect(rig.host('web')?.repoStatus).toBe('ready');
      });

      it('keeps what a partial report of its repository leaves out', () => {
        const hostId = rig.online('web');
        rig.submit('repoStats', {
          hostId,
          totalSizeBytes: 7,
          snapshotCount: 3,
          repoStatus: 'ready',
        });
        rig.submit('repoStats', { hostId, totalSizeBytes: 8 });
        expect(rig.host('web')).toMatchObject({
          repoSizeBytes: 8,
          snapshotCount: 3,
          repoStatus: 'ready',
        });
        rig.submit('repoStats', { hostId, snapshotCount: 0 });
        expect(rig.host('web')).toMatchObject({
          repoSizeBytes: 8,
          snapshotCount: 0,
          repoStatus: 'ready',
        });
      });

      it('has no row until it connects, and none after it is removed', () => {
        const hostId = rig.enrol('web');
        expect(rig.shown).toEqual([]);
        rig.submit('renameHost', { hostId, host: 'www' });
        expect(rig.shown).toEqual([]);
        rig.hello(hostId);
        expect(rig.shown).toMatchObject([{ host: 'www', online: true }]);
        expect(rig.submit('removeHost', { hostId })).toBe(true);
        expect(rig.shown).toEqual([]);
        expect(rig.submit('removeHost', { hostId })).toBe(false);
      });

      it('takes its jobs and alerts with it when it is removed', () => {
        const hostId = rig.online('web');
        finish('web', 'check', 'failed', AT, 'same');
        rig.submit('removeHost', { hostId });
        expect(rig.submit('listHosts', null)).toEqual([]);
        const job = { hostId, jobId: 'same', kind: 'check', startedAtMs: AT } as const;
        const agent = { agentVersion: '1', hostname: 'x' };
        expect(rig.submit('startJob', job)).toBe('gone');
        expect(rig.submit('finishJob', { ...job, status: 'failed', finishedAtMs: AT })).toBe(
          'gone',
        );
        expect(rig.submit('repoStats', { hostId, snapshotCount: 1 })).toBe('gone');
        expect(rig.submit('hello', { hostId, connection: 9, agent })).toBe('gone');
        expect(rig.shown).toEqual([]);
      });
    });

    describe('a finish', () => {
      it('counts once', () => {
        rig.online('web');
        expect(finish('web', 'backup', 'succeeded', AT, 'one')).toEqual({
          first: true,
          kind: 'backup',
          durationMs: 1_500,
        });
        expect(finish('web', 'backup', 'succeeded', AT, 'one')).toEqual({ first: false });
        const hostId = hostIdOf('web');
        const repeat = { hostId, jobId: 'one', status: 'succeeded', finishedAtMs: AT } as const;
        expect(rig.submit('finishJob', repeat), 'without kind and start').toEqual({ first: false });
      });

      it.each<[string, Partial<Request<'finishJob'>>]>([
        ['status', { status: 'failed' }],
        ['kind', { kind: 'check' }],
        ['start', { startedAtMs: AT - 2_000 }],
        ['finish', { finishedAtMs: AT + 1 }],
      ])('under a used job id with another %s is a conflict, and changes nothing', (_, other) => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'one', kind: 'backup', startedAtMs: AT - 1_500 } as const;
        const end = { status: 'succeeded', finishedAtMs: AT } as const;
        rig.submit('finishJob', { ...job, ...end });
        expect(rig.submit('finishJob', { ...job, ...end, ...other })).toBe('job_conflict');
        expect(rig.alerts('web')).toEqual([]);
        expect(rig.host('web')?.lastBackup).toEqual({ finishedAtMs: AT, succeeded: true });
        expect(rig.submit('finishJob', { ...job, ...end })).toEqual({ first: false });
      });

      it('of an announced job with another kind or start is a conflict', () => {
        const hostId = rig.online('web');
        const start = { hostId, jobId: 'one', kind: 'backup', startedAtMs: AT } as const;
        const end = { status: 'succeeded', finishedAtMs: AT + 5 } as const;
        rig.submit('startJob', start);
        expect(rig.submit('startJob', { ...start, kind: 'prune' })).toBe('job_conflict');
        expect(rig.submit('startJob', { ...start, startedAtMs: AT + 1 })).toBe('job_conflict');
        expect(rig.submit('finishJob', { ...start, ...end, kind: 'check' })).toBe('job_conflict');
        expect(rig.submit('startJob', start), 'the same again').toBe('recorded');
        expect(rig.submit('finishJob', { ...start, ...end })).toMatchObject({ first: true });
        expect(rig.submit('startJob', start), 'after its finish').toBe('recorded');
      });

      it('that comes more than 366 days after its start is refused', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'long', kind: 'backup', status: 'failed' } as const;
        const year = { startedAtMs: AT - 366 * DAY, finishedAtMs: AT };
        const longer = { ...year, startedAtMs: AT - 366 * DAY - 1 };
        expect(rig.submit('finishJob', { ...job, ...longer })).toBe('too_long');
        expect(rig.alerts('web')).toEqual([]);
        expect(rig.submit('finishJob', { ...job, ...year })).toMatchObject({
          durationMs: 366 * DAY,
        });
      });

      it('counts once also when both are in one batch', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'twice', kind: 'prune', startedAtMs: AT } as const;
        const end = { status: 'succeeded', finishedAtMs: AT + 10 } as const;
        const outcomes = rig.submitAll([
          ['finishJob', { ...job, ...end }],
          ['finishJob', { ...job, ...end }],
        ]);
        expect(outcomes).toEqual([
          { answer: { first: true, kind: 'prune', durationMs: 10 } },
          { answer: { first: false } },
        ]);
      });

      it('of an announced job takes the kind and the start of the announcement', () => {
        const hostId = rig.online('web');
        const start = { hostId, jobId: 'two', kind: 'prune', startedAtMs: AT - 60_000 } as const;
        expect(rig.submit('startJob', start)).toBe('recorded');
        const finish = { hostId, jobId: 'two', status: 'failed', finishedAtMs: AT } as const;
        expect(rig.submit('finishJob', finish)).toEqual({
          first: true,
          kind: 'prune',
          durationMs: 60_000,
        });
        expect(rig.alerts('web')).toEqual(['prune_failed']);
      });

      it('of a job that nobody announced needs a kind and a start', () => {
        const hostId = rig.online('web');
        const finish = { hostId, jobId: 'three', status: 'failed', finishedAtMs: AT } as const;
        expect(rig.submit('finishJob', finish)).toBe('unknown_job');
        expect(rig.submit('finishJob', { ...finish, kind: 'backup' })).toBe('unknown_job');
        expect(rig.submit('finishJob', { ...finish, startedAtMs: AT })).toBe('unknown_job');
        expect(rig.alerts('web')).toEqual([]);
      });

      it('has a job id that is unique within its host only', () => {
        rig.online('web');
        rig.online('mail');
        expect(finish('web', 'backup', 'failed', AT, 'nightly')).toMatchObject({ first: true });
        expect(finish('mail', 'backup', 'failed', AT, 'nightly')).toMatchObject({ first: true });
      });

      it('is remembered for 30 days: after 29 it does not count again, after 31 it does', () => {
        rig.online('web');
        finish('web', 'backup', 'succeeded', AT, 'once');
        rig.passDays(29);
        expect(finish('web', 'backup', 'succeeded', AT, 'once')).toEqual({ first: false });
        rig.passDays(2);
        expect(finish('web', 'backup', 'succeeded', AT, 'once')).toMatchObject({ first: true });
      });

      it('is remembered for 30 days from its finish, also if it was announced long before', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'long', kind: 'backup', startedAtMs: AT } as const;
        rig.submit('startJob', job);
        rig.passDays(20);
        const end = { ...job, status: 'succeeded', finishedAtMs: AT + 20 * DAY } as const;
        expect(rig.submit('finishJob', end)).toMatchObject({ first: true });
        rig.passDays(20);
        expect(rig.submit('finishJob', end)).toEqual({ first: false });
      });

      it('is remembered for 30 days from its report, however late that was', () => {
        const hostId = rig.online('web');
        const finishedAtMs = AT - 29 * DAY;
        const startedAtMs = finishedAtMs - 1_500;
        rig.submit('startJob', { hostId, jobId: 'announced', kind: 'backup', startedAtMs });
        const late = (jobId: string) => finish('web', 'backup', 'failed', finishedAtMs, jobId);
        for (const jobId of ['announced', 'not'])
          expect(late(jobId)).toMatchObject({ first: true });
        rig.passDays(2);
        for (const jobId of ['announced', 'not']) expect(late(jobId)).toEqual({ first: false });
      });

      it('is forgotten by a clock that is stored while the server runs, not only at its start', () => {
        vi.advanceTimersByTime(2 * 60 * MINUTE);
        expect(engine.clock()).toBeGreaterThanOrEqual(AT + 60 * MINUTE);
      });

      it('is not forgotten because the system clock was 40 days ahead for an hour', () => {
        rig.online('web');
        finish('web', 'backup', 'succeeded', AT, 'once');
        vi.setSystemTime(AT + 40 * DAY);
        vi.advanceTimersByTime(60 * MINUTE);
        expect(finish('web', 'backup', 'succeeded', AT, 'once')).toEqual({ first: false });
        vi.setSystemTime(AT);
        vi.advanceTimersByTime(60 * MINUTE);
        expect(finish('web', 'backup', 'succeeded', AT, 'once')).toEqual({ first: false });
      });
    });

    describe('a host that sends messages by HTTP', () => {
      const agent = { agentVersion: 'r', hostname: 'web', backupIntervalSeconds: 3_600 };

      it('is no longer pending, and online without a connection', () => {
        const hostId = rig.enrol('web');
        expect(rig.pending).toBe(1);
        expect(rig.submit('seen', { hostId }, loops - 1)).toBeNull();
        expect(rig.pending).toBe(0);
        expect(rig.host('web')).toMatchObject({ online: true, reportsByHttp: true });
        expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'online' }]);
        expect(rig.presence.connectionOf(hostId)).toBeUndefined();
      });

      it('is offline after its interval and a tenth, and 15 minutes later there is an alert', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId, agent });
        expect(rig.host('web')?.backupIntervalSeconds).toBe(3_600);
        vi.advanceTimersByTime(65 * MINUTE);
        rig.submit('seen', { hostId });
        vi.advanceTimersByTime(65 * MINUTE);
        expect(rig.host('web'), 'counted from the last message').toMatchObject({ online: true });
        vi.advanceTimersByTime(MINUTE + 6 * SECOND);
        expect(rig.host('web')).toMatchObject({ online: false, reportsByHttp: false });
        expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'offline' }]);
        vi.advanceTimersByTime(14 * MINUTE);
        expect(rig.alerts('web')).toEqual([]);
        vi.advanceTimersByTime(MINUTE + 6 * SECOND);
        expect(rig.alerts('web')).toEqual(['agent_offline']);
        rig.submit('seen', { hostId });
        expect(rig.alerts('web')).toEqual([]);
        expect(rig.host('web')).toMatchObject({ online: true, openAlerts: { warning: 0 } });
      });

      it('may be silent for 26 hours if it has not told its interval', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId });
        rig.passDays(1);
        vi.advanceTimersByTime(2 * 60 * MINUTE - SECOND);
        expect(rig.host('web')?.online).toBe(true);
        vi.advanceTimersByTime(6 * SECOND);
        expect(rig.host('web')?.online).toBe(false);
      });

      it('is not made silent by the system clock', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId, agent });
        vi.setSystemTime(AT + DAY);
        vi.advanceTimersByTime(60 * MINUTE);
        expect(rig.host('web')?.online).toBe(true);
        vi.setSystemTime(AT - DAY);
        vi.advanceTimersByTime(7 * MINUTE);
        expect(rig.host('web')?.online).toBe(false);
      });

      it('stays online over a restart of the server, for the rest of its time', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId: rig.enrol('late'), agent });
        vi.advanceTimersByTime(40 * MINUTE);
        rig.submit('seen', { hostId, agent });
        rig.close();
        vi.advanceTimersByTime(30 * MINUTE);
        rig = new StoreRig(engine, loops);
        expect(rig.host('web'), 'silent for 30 minutes').toMatchObject({
          online: true,
          reportsByHttp: true,
        });
        expect(rig.host('late')?.online, 'silent for 70 minutes').toBe(false);
        // `hosts list` reads this from the database.
        const listed = rig.submit('listHosts', null).find(({ host }) => host === 'web');
        expect(listed?.status, 'silent for 30 minutes').toBe('online');
        vi.advanceTimersByTime(35 * MINUTE);
        expect(rig.host('web')?.online).toBe(true);
        vi.advanceTimersByTime(MINUTE + 6 * SECOND);
        expect(rig.host('web')?.online).toBe(false);
        expect(rig.alerts('late')).toEqual(['agent_offline']);
      });

      it('is silent for no longer than it may be if the clock was set back before a restart', () => {
        rig.submit('seen', { hostId: rig.enrol('web'), agent });
        rig.close();
        vi.setSystemTime(AT - DAY);
        rig = new StoreRig(engine, loops);
        expect(rig.host('web')?.online).toBe(true);
        vi.advanceTimersByTime(66 * MINUTE + 6 * SECOND);
        expect(rig.host('web')?.online).toBe(false);
      });

      it('gets no alert for the time before in which it was offline', () => {
        const hostId = rig.enrol('web');
        const connection = rig.hello(hostId);
        rig.submit('goodbye', { hostId, connection });
        vi.advanceTimersByTime(10 * MINUTE);
        rig.submit('seen', { hostId, agent });
        vi.advanceTimersByTime(30 * MINUTE);
        expect(rig.host('web')?.online).toBe(true);
        expect(rig.alerts('web')).toEqual([]);
      });

      it('has the presence of its connection while it has one', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId, agent });
        const connection = rig.hello(hostId);
        expect(rig.host('web')).toMatchObject({ online: true, reportsByHttp: false });
        rig.submit('seen', { hostId }, loops - 1);
        expect(rig.host('web')).toMatchObject({ online: true, reportsByHttp: false });
        rig.submit('goodbye', { hostId, connection });
        expect(rig.host('web')).toMatchObject({ online: false, reportsByHttp: false });
        rig.submit('seen', { hostId });
        rig.submit('goodbye', { hostId, connection });
        expect(rig.host('web'), 'a late goodbye').toMatchObject({ online: true });
      });

      it('shows the details that it sends, also while it has a connection', () => {
        const hostId = rig.online('web');
        expect(rig.host('web')?.backupIntervalSeconds).toBe('unknown');
        rig.submit('seen', { hostId, agent });
        expect(rig.host('web')?.backupIntervalSeconds).toBe(3_600);
        rig.submit('seen', { hostId });
        expect(rig.host('web')?.backupIntervalSeconds).toBe(3_600);
      });

      it('keeps its details when it sends none, and an earlier connection closes at no message', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId, agent });
        rig.submit('seen', { hostId });
        expect(rig.host('web')?.backupIntervalSeconds).toBe(3_600);
        expect(rig.received().filter((message) => 'disconnect' in message)).toEqual([]);
      });

      it('is gone once it is removed, and its time opens no alert', () => {
        const hostId = rig.enrol('web');
        rig.submit('seen', { hostId, agent });
        rig.submit('removeHost', { hostId });
        expect(rig.submit('seen', { hostId })).toBe('gone');
        vi.advanceTimersByTime(3 * 60 * MINUTE);
        expect(rig.shown).toEqual([]);
        expect(rig.presence.isOnline(hostId)).toBe(false);
      });

      it('goes offline with a whole fleet, in steps', () => {
        const hosts = Array.from({ length: 1_100 }, (_, n) => `host-${n}`);
        for (const { hostId } of rig.submit('addHosts', { hosts })) {
          rig.submit('seen', { hostId, agent });
        }
        vi.advanceTimersByTime(66 * MINUTE + 6 * SECOND);
        expect(rig.shown.filter(({ online }) => online)).toEqual([]);
      });
    });

    describe('agent_offline', () => {
      it('opens after 15 minutes without the agent, not before, and ends with its hello', () => {
        const hostId = rig.online('web');
        const connection = rig.hello(hostId);
        rig.submit('goodbye', { hostId, connection });
        vi.advanceTimersByTime(14 * MINUTE);
        expect(rig.alerts('web')).toEqual([]);
        vi.advanceTimersByTime(MINUTE + 6 * SECOND);
        expect(rig.alerts('web')).toEqual(['agent_offline']);
        expect(rig.host('web')).toMatchObject({ online: false, openAlerts: { warning: 1 } });
        rig.hello(hostId);
        expect(rig.alerts('web')).toEqual([]);
        expect(rig.host('web')).toMatchObject({ online: true, openAlerts: { warning: 0 } });
      });

      it('counts from the last goodbye', () => {
        const hostId = rig.enrol('web');
        for (let n = 0; n < 3; n++) {
          rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
          vi.advanceTimersByTime(10 * MINUTE);
        }
        expect(rig.alerts('web')).toEqual([]);
      });

      it('does not open for a host that was away for a minute', () => {
        const hostId = rig.enrol('web');
        rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        vi.advanceTimersByTime(MINUTE);
        rig.hello(hostId);
        vi.advanceTimersByTime(30 * MINUTE);
        expect(rig.alerts('web')).toEqual([]);
      });

      it('never opens for a host that is online, pending or removed', () => {
        rig.online('online');
        rig.enrol('pending');
        const hostId = rig.enrol('removed');
        rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        rig.submit('removeHost', { hostId });
        vi.advanceTimersByTime(60 * MINUTE);
        expect(rig.submit('listHosts', null).map(({ openAlerts }) => openAlerts)).toEqual([[], []]);
      });

      it('does not follow the system clock', () => {
        const hostId = rig.enrol('web');
        rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        vi.setSystemTime(AT + DAY);
        vi.advanceTimersByTime(14 * MINUTE);
        expect(rig.alerts('web'), 'a day ahead').toEqual([]);
        vi.setSystemTime(AT - DAY);
        vi.advanceTimersByTime(2 * MINUTE);
        expect(rig.alerts('web'), 'and a day behind').toEqual(['agent_offline']);
      });

      it('does not count the time in which no control plane ran', () => {
        rig.online('connected');
        const hostId = rig.enrol('away');
        rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        rig.close();
        vi.advanceTimersByTime(60 * MINUTE);
        rig = new StoreRig(engine, loops);
        expect(rig.shown.map(({ online }) => online)).toEqual([false, false]);
        vi.advanceTimersByTime(14 * MINUTE);
        expect(rig.alerts('away')).toEqual([]);
        vi.advanceTimersByTime(MINUTE + 6 * SECOND);
        expect(rig.alerts('away')).toEqual(['agent_offline']);
        expect(rig.alerts('connected')).toEqual(['agent_offline']);
      });

      it('counts after a restart for a host with another alert, too, until it is back', () => {
        rig.online('other');
        const hostId = rig.online('web');
        finish('web', 'backup', 'failed', AT);
        rig.close();
        rig = new StoreRig(engine, loops);
        const status = () =>
          rig.submit('listHosts', null).find(({ host }) => host === 'web')?.status;
        expect(status()).toBe('offline');
        vi.advanceTimersByTime(15 * MINUTE + 6 * SECOND);
        expect(rig.alerts('web')).toEqual(['agent_offline', 'backup_failed']);
        // The first connection since the restart: its number is lower than that of the one before.
        const connection = rig.hello(hostId);
        expect(rig.alerts('web')).toEqual(['backup_failed']);
        expect(rig.host('web')?.online).toBe(true);
        expect(status()).toBe('online');
        rig.submit('goodbye', { hostId, connection });
        expect(status()).toBe('offline');
      });

      it('stays open over a restart, and opens no second time', () => {
        const hostId = rig.enrol('web');
        rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        vi.advanceTimersByTime(20 * MINUTE);
        rig.close();
        rig = new StoreRig(engine, loops);
        expect(rig.alerts('web')).toEqual(['agent_offline']);
        expect(rig.presence.offlineFor(0, 10)).toEqual([]);
        rig.hello(hostId);
        expect(rig.alerts('web')).toEqual([]);
      });

      it('opens for a whole fleet, in steps', () => {
        const hosts = Array.from({ length: 1_100 }, (_, n) => `host-${n}`);
        for (const { hostId } of rig.submit('addHosts', { hosts })) {
          rig.submit('goodbye', { hostId, connection: rig.hello(hostId) });
        }
        vi.advanceTimersByTime(15 * MINUTE + 6 * SECOND);
        expect(rig.shown.filter(({ openAlerts }) => openAlerts.warning === 1)).toHaveLength(1_100);
      });
    });

    describe('two connections of a host', () => {
      it('leave it to the newer one, whichever says hello first', () => {
        const hostId = rig.enrol('web');
        const agent = { agentVersion: '1', hostname: 'web' };
        const [older, newer] = [7, 8];
        rig.received();
        expect(rig.submit('hello', { hostId, connection: newer, agent })).toEqual({ host: 'web' });
        expect(rig.submit('hello', { hostId, connection: older, agent })).toEqual({ host: 'web' });
        rig.submit('goodbye', { hostId, connection: older });
        expect(rig.host('web')?.online).toBe(true);
        expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'online' }]);
        rig.submit('goodbye', { hostId, connection: newer });
        expect(rig.host('web')?.online).toBe(false);
        expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'offline' }]);
      });

      it('are older and newer over all loops, whatever their loops are numbered', () => {
        const hostId = rig.enrol('web');
        const agent = { agentVersion: '1', hostname: 'web' };
        const older = (loops - 1) * CONNECTIONS_PER_LOOP + 7;
        const newer = 8;
        rig.submit('hello', { hostId, connection: newer, agent });
        rig.submit('hello', { hostId, connection: older, agent }, loops - 1);
        rig.submit('goodbye', { hostId, connection: older }, loops - 1);
        rig.submit('repoStats', { hostId, snapshotCount: 1 });
        expect(rig.presence.connectionOf(hostId)).toBe(newer);
        expect(rig.host('web')?.online).toBe(true);
        expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'online' }]);
      });

      // The loop that submits reads what it is told; the other one is that of the older connection.
      if (loops > 1) {
        it('have the older one closed, also if its hello comes last', () => {
          const last = loops - 1;
          const hostId = rig.enrol('web');
          const agent = { agentVersion: '1', hostname: 'web' };
          const older = last * CONNECTIONS_PER_LOOP + 7;
          rig.submit('hello', { hostId, connection: 8, agent });
          rig.received(last);
          rig.submit('hello', { hostId, connection: older, agent });
          expect(rig.received(last)).toEqual([
            { disconnect: { connection: older, reason: 'replaced' } },
          ]);
        });
      }

      it('are told apart in the loop of the older one', () => {
        const last = loops - 1;
        const hostId = rig.enrol('web');
        const older = rig.hello(hostId);
        rig.received();
        rig.hello(hostId, last);
        const told = [...rig.received(), ...rig.received(last)];
        if (last > 0) {
          expect(told).toContainEqual({ disconnect: { connection: older, reason: 'replaced' } });
        }
        expect(rig.host('web')?.online).toBe(true);
      });
    });

    describe('a batch', () => {
      it('does not fail with one of its operations', () => {
        const hostId = rig.online('web');
        const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
        const end = { status: 'failed', finishedAtMs: AT + 1 } as const;
        const outcomes = rig.submitAll([
          ['finishJob', { ...job, ...end, jobId: 'good' }],
          // No engine stores half a millisecond, and no agent can send it.
          ['finishJob', { ...job, ...end, jobId: 'bad', finishedAtMs: AT + 0.5 }],
          ['addHosts', { hosts: [''] }],
          ['startJob', { ...job, jobId: 'good, too' }],
        ]);
        expect(outcomes).toEqual([
          { answer: { first: true, kind: 'backup', durationMs: 1 } },
          { failure: expect.objectContaining({ code: 'database_failed' }) },
          { failure: expect.objectContaining({ code: 'invalid_host' }) },
          { answer: 'recorded' },
        ]);
        expect(rig.logged).toEqual(['an operation failed unexpectedly']);
        expect(rig.host('web')?.lastBackup).toEqual({ finishedAtMs: AT + 1, succeeded: false });
        expect(rig.submit('finishJob', { ...job, ...end, jobId: 'bad' })).toMatchObject({
          first: true,
        });
      });

      it('shows who reported by HTTP in it online, though another operation failed', () => {
        const [hostId, other] = [rig.enrol('web'), rig.online('mail')];
        const bad = { hostId: other, jobId: 'bad', kind: 'backup', startedAtMs: AT } as const;
        const outcomes = rig.submitAll([
          ['seen', { hostId }],
          ['finishJob', { ...bad, status: 'failed', finishedAtMs: AT + 0.5 }],
        ]);
        expect(outcomes).toMatchObject([{ answer: null }, { failure: {} }]);
        expect(rig.host('web')).toMatchObject({ online: true, reportsByHttp: true });
      });

      it('shows who came and left in it, and counts who was added, though another operation failed', () => {
        const [web, mail] = [rig.enrol('web'), rig.enrol('mail')];
        const mailConnection = rig.hello(mail);
        const agent = { agentVersion: '1', hostname: 'x' };
        const bad = { hostId: web, jobId: 'bad', kind: 'backup', startedAtMs: AT } as const;
        rig.submitAll([
          ['addHosts', { hosts: ['new'] }],
          ['hello', { hostId: web, connection: 99, agent }],
          ['goodbye', { hostId: mail, connection: mailConnection }],
          ['finishJob', { ...bad, status: 'failed', finishedAtMs: AT + 0.5 }],
        ]);
        expect(rig.pending).toBe(1);
        expect([rig.host('web')?.online, rig.host('mail')?.online]).toEqual([true, false]);
        expect(rig.presence.connectionOf(web)).toBe(99);
        rig.submit('repoStats', { hostId: mail, snapshotCount: 1 });
        expect(rig.host('mail')?.online).toBe(false);
      });

      it('tells of tokens and removals in it, though another operation failed', () => {
        const [replaced, removed] = [rig.online('web'), rig.online('mail')];
        rig.submit('seen', { hostId: rig.enrol('cron') });
        const last = loops - 1;
        rig.received(last);
        const bad = { hostId: replaced, jobId: 'bad', kind: 'backup', startedAtMs: AT } as const;
        rig.submitAll(
          [
            ['replaceToken', { hostId: replaced }],
            ['removeHost', { hostId: removed }],
            ['finishJob', { ...bad, status: 'failed', finishedAtMs: AT + 0.5 }],
          ],
          // `submitAll` leaves what follows the outcomes to be read, and reads the rest.
          last === 0 ? 0 : last - 1,
        );
        expect(rig.host('mail')).toBeUndefined();
        if (last === 0) return;
        expect(rig.received(last)).toContainEqual({
          tokenChanges: {
            removed: [removed, replaced],
            added: [[replaced, expect.any(Uint8Array)]],
          },
        });
      });

      it('shows nothing of an operation that failed half-way', () => {
        const [web, mail] = [rig.enrol('web'), rig.online('mail')];
        // The agent says when its machine started, and no engine stores half a millisecond.
        const agent = { agentVersion: '1', hostname: 'x', bootTimeMs: AT + 0.5 };
        const outcomes = rig.submitAll([
          ['hello', { hostId: web, connection: 99, agent }],
          ['seen', { hostId: web, agent }],
          ['repoStats', { hostId: mail, snapshotCount: 1 }],
        ]);
        expect(outcomes).toMatchObject([{ failure: {} }, { failure: {} }, { answer: 'recorded' }]);
        expect(rig.presence.isOnline(web)).toBe(false);
        expect(rig.shown).toMatchObject([{ host: 'mail', snapshotCount: 1 }]);
        expect(rig.pending).toBe(1);
      });

      it('leaves nothing in the database of an operation that failed half-way', () => {
        const hostId = rig.online('web');
        const job = { hostId, jobId: 'half', kind: 'check', startedAtMs: AT } as const;
        const end = { status: 'failed', finishedAtMs: AT + 1 } as const;
        // The host can be written, the job cannot: no engine stores half an exit code.
        const [outcome] = rig.submitAll([['finishJob', { ...job, ...end, exitCode: 0.5 }]]);
        expect(outcome).toMatchObject({ failure: { code: 'database_failed' } });
        expect(rig.alerts('web')).toEqual([]);
        rig.submit('repoStats', { hostId, snapshotCount: 1 });
        expect(rig.host('web')?.openAlerts.critical).toBe(0);
      });

      it('answers in the order of the operations, whatever is done first', () => {
        const hostId = rig.online('web');
        const operations: Operation[] = [
          ['startJob', { hostId, jobId: 'a', kind: 'backup', startedAtMs: AT }],
          ['removeHost', { hostId }],
          ['areHostChangesApplied', null],
          ['repoStats', { hostId, snapshotCount: 1 }],
        ];
        expect(rig.submitAll(operations)).toEqual([
          { answer: 'gone' },
          { answer: true },
          { answer: true },
          { answer: 'gone' },
        ]);
        expect(rig.shown).toEqual([]);
      });
    });

    describe('tokens', () => {
      it('of a host that is removed in the same batch are not told any more', () => {
        const hostId = rig.enrol('web');
        rig.received();
        rig.submitAll([
          ['replaceToken', { hostId }],
          ['removeHost', { hostId }],
        ]);
        const last = loops - 1;
        if (last === 0) return;
        expect(rig.received(last).at(-1)).toEqual({
          tokenChanges: { removed: [hostId, hostId], added: [] },
        });
        expect(rig.pending).toBe(0);
      });

      it('are told to every loop, and taken back', () => {
        rig.received();
        for (let loop = 0; loop < loops; loop++) rig.received(loop);
        const hostId = rig.enrol('web');
        const enrolled = Array.from({ length: loops }, (_, loop) => rig.received(loop));
        // The first loop has enrolled the host, and has read its answer.
        for (const told of enrolled.slice(1)) {
          expect(told).toEqual([
            { tokenChanges: { removed: [], added: [[hostId, expect.any(Uint8Array)]] } },
          ]);
        }
        const connection = rig.hello(hostId);
        const replaced = rig.submitAll([['replaceToken', { hostId }]]);
        expect(replaced).toMatchObject([{ answer: { host: 'web' } }]);
        expect(rig.host('web')?.online, 'until its socket is closed').toBe(true);
        rig.submit('goodbye', { hostId, connection });
        expect(rig.host('web')?.online).toBe(false);
      });

      // The loop that asks reads its answer; the others are those that have to be told.
      if (loops > 1) {
        it('are good no more in any loop once replaced or removed', () => {
          const last = loops - 1;
          const hostId = rig.enrol('web');
          const connection = rig.hello(hostId, last);
          rig.received(last);
          rig.submit('replaceToken', { hostId });
          expect(rig.received(last)).toEqual([
            { tokenChanges: { removed: [hostId], added: [[hostId, expect.any(Uint8Array)]] } },
            { disconnect: { connection, reason: 'token_replaced' } },
          ]);
          rig.submit('removeHost', { hostId });
          expect(rig.received(last)).toEqual([
            { tokenChanges: { removed: [hostId], added: [] } },
            { disconnect: { connection, reason: 'removed' } },
          ]);
        });
      }
    });
  });
}
