import { describe, expect, test } from 'vitest';
import type { Fleet, Host, HostDetails, Job, State } from '../../src/page/model.ts';
import { moment } from '../../src/page/units.ts';
import {
  announcement,
  causeIn,
  failure,
  headline,
  jobResult,
  lastLine,
  openAlerts,
  type Reason,
  reasons,
  runningJobs,
  STATE_LABELS,
} from '../../src/page/words.ts';

const NOW = Date.parse('2026-11-26T12:00:00Z');
const HOUR = 3_600_000;
const hoursAgo = (hours: number) => new Date(NOW - hours * HOUR).toISOString();

const HOST: Host = {
  host_id: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B',
  host: 'web-1',
  state: 'ok',
  status: 'online',
  last_backup_at: hoursAgo(3),
  last_backup_success: true,
  last_success_at: hoursAgo(3),
  backup_interval_seconds: 86_400,
  repo_size_bytes: null,
  snapshot_count: 1,
  alerts: [],
  agent_version: null,
  restic_version: null,
};
const FAILED = { state: 'failed', last_backup_success: false, alerts: ['backup_failed'] } as const;
const FAILED_JOB = { status: 'failed', exit_code: 1, error: 'a\nFatal: locked\n' } as const;

describe('reasons', () => {
  test.each<[string, Partial<Host>, Reason[]]>([
    ['a host that is fine', {}, [{ text: 'Backed up 3 h ago' }]],
    ['a failed backup', FAILED, [{ text: 'Last backup failed 3 h ago' }]],
    [
      'a host without a backup',
      { state: 'never', last_backup_at: null, last_backup_success: null, last_success_at: null },
      [{ text: 'Never backed up' }],
    ],
    [
      'an overdue host',
      { state: 'overdue', last_success_at: hoursAgo(72) },
      [{ text: 'No backup for 3 days, planned every 24 h' }],
    ],
    [
      'an overdue host whose interval is unknown',
      { state: 'overdue', last_success_at: hoursAgo(30), backup_interval_seconds: null },
      [{ text: 'No backup for 30 h' }],
    ],
    [
      'an overdue host without a success',
      { state: 'overdue', last_success_at: null },
      [{ text: 'No successful backup yet, planned every 24 h' }],
    ],
    [
      'a host that is well, without a backup',
      { last_backup_at: null, last_backup_success: null, last_success_at: null },
      [{ text: 'No backup yet' }],
    ],
    [
      'a host that is offline and never backed up',
      { state: 'never', status: 'offline', last_backup_at: null, last_backup_success: null },
      [{ text: 'Never backed up' }, { text: 'Offline' }],
    ],
    [
      'an alert about a backup before the last one',
      { state: 'alerts', alerts: ['backup_failed', 'backup_incomplete'] },
      [{ text: 'Backup failed' }, { text: 'Backup incomplete: some files could not be read' }],
    ],
    ['an offline host', { state: 'offline', status: 'offline' }, [{ text: 'Offline' }]],
    [
      'alerts',
      { state: 'alerts', alerts: ['check_failed', 'forget_failed'] },
      [{ text: 'Check failed' }, { text: 'Forget failed' }],
    ],
    [
      'everything at once, the worst first',
      { ...FAILED, status: 'offline', alerts: ['agent_offline', 'backup_failed', 'prune_failed'] },
      [{ text: 'Last backup failed 3 h ago' }, { text: 'Offline' }, { text: 'Prune failed' }],
    ],
    [
      'a pending host',
      { state: 'pending', status: 'pending' },
      [{ text: 'Enrolled, but has never connected or reported' }],
    ],
  ])('of %s', (_, host, expected) => {
    expect(reasons({ ...HOST, ...host }, NOW)).toEqual(expected);
  });

  test('a cause adds the exit code, and the last line of the error apart from the sentence', () => {
    expect(reasons({ ...HOST, ...FAILED }, NOW, { backup: FAILED_JOB })).toEqual([
      { text: 'Last backup failed 3 h ago, exit code 1', quote: 'Fatal: locked' },
    ]);
    const cancelled = { status: 'cancelled', exit_code: 130, error: null } as const;
    expect(reasons({ ...HOST, ...FAILED }, NOW, { backup: cancelled })).toEqual([
      { text: 'Last backup was cancelled 3 h ago, exit code 130' },
    ]);
  });

  test('the details of a host have alerts with more than their kind', () => {
    const alerts = [
      { kind: 'agent_offline', severity: 'warning', opened_at: hoursAgo(2) },
      { kind: 'check_failed', severity: 'critical', opened_at: hoursAgo(1) },
    ];
    const details = { ...HOST, status: 'offline', alerts, jobs: [] } as unknown as HostDetails;
    expect(reasons(details, NOW, causeIn(details))).toEqual([
      { text: `Offline, alert since ${moment(NOW - 2 * HOUR, NOW)}` },
      { text: 'Check failed' },
    ]);
  });

  test('a cause is the newest backup that did not succeed', () => {
    const job = (kind: Job['kind'], status: Job['status'], error: string) =>
      ({ kind, status, error, exit_code: 1 }) as Job;
    const details = {
      alerts: [{ kind: 'agent_offline', severity: 'warning', opened_at: hoursAgo(2) }],
      jobs: [
        job('check', 'failed', 'no backup'),
        job('backup', 'running', 'not finished'),
        job('backup', 'failed', 'this'),
        job('backup', 'failed', 'older'),
      ],
    } as unknown as HostDetails;
    expect(causeIn(details)).toMatchObject({
      backup: { error: 'this' },
      offlineAlertAt: hoursAgo(2),
    });
    expect(causeIn({ ...details, alerts: [], jobs: [] })).toEqual({
      backup: undefined,
      offlineAlertAt: undefined,
    });
  });
});

function states(some: Partial<Record<State, number>>): Fleet['states'] {
  const none = { failed: 0, never: 0, overdue: 0, offline: 0, alerts: 0, ok: 0, pending: 0 };
  return { ...none, ...some };
}

test.each<[Partial<Record<State, number>>, string]>([
  [{}, 'No hosts are enrolled yet'],
  [{ pending: 2 }, '2 hosts enrolled, none has reported yet'],
  [{ ok: 1 }, 'The only host is fine'],
  [{ ok: 1_200, pending: 3 }, 'All 1,200 hosts are fine'],
  [{ ok: 9, failed: 1 }, '1 of 10 hosts needs attention'],
  [
    { ok: 4, failed: 1, never: 1, overdue: 1, offline: 1, alerts: 2 },
    '6 of 10 hosts need attention',
  ],
])('the headline of %j', (some, expected) => {
  expect(headline({ states: states(some) } as Fleet)).toBe(expected);
});

test('an announcement is about what became worse, or about the end of the last problem', () => {
  const say = (a: Partial<Record<State, number>>, b: Partial<Record<State, number>>) =>
    announcement(states(a), states(b));
  expect(say({ ok: 3 }, { ok: 2, failed: 1 })).toBe('1 more host whose last backup failed.');
  expect(say({ failed: 1 }, { failed: 3, offline: 1 })).toBe(
    '2 more hosts whose last backup failed. 1 more host offline.',
  );
  expect(say({ failed: 1 }, { ok: 1 })).toBe('No host needs attention any more.');
  expect(say({ ok: 2 }, { overdue: 1, never: 1 })).toBe('1 more host overdue.');
  expect(say({ failed: 2 }, { failed: 1, ok: 1 })).toBe('');
  expect(say({ ok: 3 }, { ok: 3 })).toBe('');
});

test('counts in words', () => {
  expect(runningJobs({})).toBe('none');
  expect(runningJobs(null)).toBe('unknown');
  expect(runningJobs({ backup: 0, check: 2 })).toBe('2 check');
  expect(runningJobs({ check: 2, backup: 1 })).toBe('3: 2 check, 1 backup');
  expect(runningJobs({ check: 2, backup: 4, prune: 1, forget: 1 })).toBe(
    '8: 4 backup, 2 check, 2 other',
  );
  const alerts = (critical: number, warning: number, info: number) =>
    openAlerts({ by_severity: { critical, warning, info } } as Fleet['alerts']);
  expect(alerts(0, 0, 0)).toBe('none');
  expect(alerts(2, 1, 0)).toBe('2 critical, 1 warning');
  expect(alerts(0, 1_200, 3)).toBe('1,200 warnings, 3 info');
});

test('a state has a short name for a row', () => {
  expect(STATE_LABELS).toEqual({
    failed: 'Failed',
    never: 'Never',
    overdue: 'Overdue',
    offline: 'Offline',
    alerts: 'Alerts',
    ok: 'OK',
    pending: 'Pending',
  });
});

test.each<[Partial<Job>, string]>([
  [{ status: 'running' }, 'Running'],
  [{ status: 'succeeded', exit_code: 0 }, 'Succeeded'],
  [
    { status: 'succeeded', exit_code: 3, files_unreadable: 1 },
    'Succeeded, exit code 3, 1 file unreadable',
  ],
  [{ status: 'failed', exit_code: 12 }, 'Failed, exit code 12'],
])('the result of %j', (job, expected) => {
  expect(jobResult({ exit_code: null, files_unreadable: null, ...job } as Job)).toBe(expected);
});

test('the last line of an error is the last that is not empty', () => {
  expect(lastLine('a\n  b \n\n')).toBe('b');
  expect(lastLine('')).toBe('');
});

test.each([
  [0, 'The server does not answer.'],
  [403, 'A proxy refused the request (403).'],
  [404, 'The address /api is not available here (404). Check the reverse proxy.'],
  [503, 'The server cannot answer now (503).'],
  [502, 'The server answered with an error (502).'],
])('the failure %i in words', (status, expected) => {
  expect(failure(status)).toBe(expected);
});
