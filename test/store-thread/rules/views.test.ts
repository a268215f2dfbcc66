import { describe, expect, it } from 'vitest';
import type { HostRecord } from '../../../src/store-thread/rules/records.ts';
import {
  hostDetails,
  listedHost,
  pendingHost,
  shownHost,
} from '../../../src/store-thread/rules/views.ts';
import { AT, OFFLINE, ONLINE, REPORTING } from './record.ts';

const HOUR_MS = 3_600_000;
const HOURLY = { agentVersion: '1', hostname: 'web', backupIntervalSeconds: 3_600 };

it('alerts are counted by severity and listed by name, whatever the order in the database', () => {
  const alerts = { prune_failed: AT, agent_offline: AT, backup_failed: AT, backup_incomplete: AT };
  const host = { ...OFFLINE, alerts };
  expect(listedHost(host, true, AT).openAlerts).toEqual([
    'agent_offline',
    'backup_failed',
    'backup_incomplete',
    'prune_failed',
  ]);
  expect(shownHost(host, false)?.openAlerts).toEqual({ critical: 1, info: 1, warning: 2 });
});

it.each<[HostRecord, boolean, number, string]>([
  [ONLINE, true, 0, 'online'],
  [ONLINE, false, 0, 'offline'],
  [REPORTING, false, 26 * HOUR_MS - 1, 'online'],
  [REPORTING, false, 26 * HOUR_MS, 'offline'],
  // The control plane itself has not found it to be silent yet.
  [REPORTING, true, 30 * HOUR_MS, 'online'],
  [OFFLINE, true, 0, 'offline'],
  [{ ...OFFLINE, status: 'pending' }, false, 0, 'pending'],
])('the status of a host is listed: %#', (host, isServed, silentMs, status) => {
  expect(listedHost(host, isServed, AT + silentMs).status).toBe(status);
});

it('a host reports by HTTP only while it is online by that', () => {
  expect(shownHost(REPORTING, true)).toMatchObject({ online: true, reportsByHttp: true });
  expect(shownHost(REPORTING, false)).toMatchObject({ online: false, reportsByHttp: false });
  expect(shownHost(ONLINE, true)).toMatchObject({ online: true, reportsByHttp: false });
  expect(shownHost({ ...OFFLINE, status: 'pending' }, false)).toBeUndefined();
});

it.each<[string, (host: string) => string | undefined]>([
  ['in the exposition', (host) => shownHost({ ...OFFLINE, host }, false)?.host],
  ['in the API while it is pending', (host) => pendingHost(OFFLINE.hostId, host).host],
  ['in hosts show', (host) => hostDetails({ ...OFFLINE, host }, [], true, AT).host],
])(
  'a name that an earlier version took is cleaned, and replaced by the id if nothing is left (%s)',
  (_, nameOf) => {
    expect(nameOf('web')).toBe('web');
    expect(nameOf('a\nb ')).toBe('a\ufffdb');
    expect(nameOf('  ')).toBe(OFFLINE.hostId);
  },
);

describe('the details of a host', () => {
  const backup = (at: number, succeeded: boolean) => ({
    lastBackup: { finishedAtMs: at, succeeded, durationMs: 1 },
    lastBackupSuccessMs: succeeded ? at : undefined,
  });
  const details = (host: HostRecord, { isServed = true, nowMs = AT } = {}) =>
    hostDetails(host, [], isServed, nowMs);

  it('of one that has never connected are only its name', () => {
    const { hostId, host } = OFFLINE;
    const pending = { ...OFFLINE, status: 'pending', agent: undefined } as const;
    expect(JSON.parse(JSON.stringify(details(pending)))).toEqual({
      hostId,
      host,
      state: 'pending',
      status: 'pending',
      alerts: [],
      jobs: [],
    });
    expect(details(OFFLINE).snapshotCount).toBe(0);
  });

  it.each<[string, HostRecord, { isServed?: boolean; nowMs?: number }, string]>([
    ['failed', { ...ONLINE, ...backup(AT, false) }, {}, 'failed'],
    ['no backup', ONLINE, {}, 'never'],
    ['well', { ...ONLINE, ...backup(AT, true) }, {}, 'ok'],
    ['an alert', { ...ONLINE, ...backup(AT, true), alerts: { check_failed: AT } }, {}, 'alerts'],
    ['offline', { ...OFFLINE, ...backup(AT, true) }, {}, 'offline'],
    ['no server', { ...ONLINE, ...backup(AT, true) }, { isServed: false }, 'offline'],
    [
      'no server, but a recent message by HTTP',
      { ...REPORTING, ...backup(AT, true) },
      { isServed: false, nowMs: AT + HOUR_MS },
      'ok',
    ],
    ['25 hours', { ...ONLINE, ...backup(AT, true) }, { nowMs: AT + 25 * HOUR_MS }, 'ok'],
    ['27 hours', { ...ONLINE, ...backup(AT, true) }, { nowMs: AT + 27 * HOUR_MS }, 'overdue'],
    [
      'its interval',
      { ...ONLINE, ...backup(AT, true), agent: HOURLY },
      { nowMs: AT + 2 * HOUR_MS },
      'overdue',
    ],
    [
      'a success that only an earlier version has stored',
      { ...ONLINE, ...backup(AT, true), lastBackupSuccessMs: undefined },
      { nowMs: AT + 27 * HOUR_MS },
      'overdue',
    ],
  ])('name its state: %s', (_, host, at, state) => {
    expect(details(host, at)).toMatchObject({ state });
  });

  it('have the last success, also if only an earlier version has stored it', () => {
    expect(details({ ...ONLINE, ...backup(AT, true) }).lastSuccessMs).toBe(AT);
    const old = { ...backup(AT, true), lastBackupSuccessMs: undefined };
    expect(details({ ...ONLINE, ...old }).lastSuccessMs).toBe(AT);
    const failed = { ...backup(AT, false), lastBackupSuccessMs: AT - 9 };
    expect(details({ ...ONLINE, ...failed }).lastSuccessMs).toBe(AT - 9);
    expect(details({ ...ONLINE, ...backup(AT, false) }).lastSuccessMs).toBeUndefined();
  });

  it('have of what the agent said no text that a terminal would execute, and none that is empty', () => {
    const agent = { agentVersion: 'a\u001b[2J', hostname: 'x', resticVersion: '', os: 'l\nx' };
    expect(details({ ...ONLINE, agent })).toMatchObject({
      agentVersion: 'a\ufffd[2J',
      resticVersion: undefined,
      os: 'l\ufffdx',
      arch: undefined,
    });
  });
});
