import { expect, it } from 'vitest';
import type { HostRecord } from '../../../src/store-thread/rules/records.ts';
import { listedHost, shownHost } from '../../../src/store-thread/rules/views.ts';
import { AT, OFFLINE, ONLINE, REPORTING } from './record.ts';

const HOUR_MS = 3_600_000;

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

it('a name that an earlier version took is cleaned, and replaced by the id if nothing is left', () => {
  const nameOf = (host: string) => shownHost({ ...OFFLINE, host }, false)?.host;
  expect(nameOf('web')).toBe('web');
  expect(nameOf('a\nb ')).toBe('a\ufffdb');
  expect(nameOf('  ')).toBe(OFFLINE.hostId);
});
