import { expect, test } from 'vitest';
import { Changes } from '../../../src/store-thread/changes.ts';
import { applyReports, type Report } from '../../../src/store-thread/reports.ts';
import type { HostRecord } from '../../../src/store-thread/rules/records.ts';
import { openInMemory } from '../../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';

const AT = Date.UTC(2026, 0, 2);

// A scrape shows what the rules decided; the next report and the next start build on what was written.
test('a host is loaded as it was written, in every field', () => {
  const engine = new SqliteEngine(openInMemory(), undefined, {
    serves: true,
    onForgottenJobs: () => {},
  });
  engine.addHost('a', 'web', Buffer.from('a'));
  const decided = (...reports: Report[]): HostRecord | undefined => {
    const changes = new Changes();
    applyReports(engine, reports, changes);
    return changes.hosts.get('a');
  };
  const agent = {
    agentVersion: '1.2',
    hostname: 'web-1',
    resticVersion: '0.18',
    os: 'linux',
    arch: 'arm64',
    bootTimeMs: AT - 5_000,
    backupIntervalSeconds: 3_600,
  };
  const backup = { hostId: 'a', kind: 'backup', startedAtMs: AT + 1_000 } as const;
  const check = { hostId: 'a', kind: 'check', startedAtMs: AT + 3_000 } as const;
  const summary = { bytesAdded: 777, filesUnreadable: 1, snapshotId: 'abc' };
  const online = decided(
    ['hello', { hostId: 'a', connection: 7, agent }],
    [
      'finishJob',
      { ...backup, jobId: '1', status: 'succeeded', finishedAtMs: AT + 1_900, summary },
    ],
    ['finishJob', { ...backup, jobId: '2', status: 'failed', finishedAtMs: AT + 2_500 }],
    ['finishJob', { ...check, jobId: '3', status: 'succeeded', finishedAtMs: AT + 3_100 }],
    ['repoStats', { hostId: 'a', totalSizeBytes: 5_000, snapshotCount: 3, repoStatus: 'ready' }],
  );
  expect(online).toMatchObject({
    status: 'online',
    agent,
    lastBackup: { finishedAtMs: AT + 2_500, succeeded: false, durationMs: 1_500 },
    alerts: { backup_failed: AT + 2_500, backup_incomplete: AT + 1_900 },
  });
  expect([...engine.hosts()]).toEqual([online]);
  const offline = decided(['goodbye', { hostId: 'a', connection: 7, atMs: AT + 4_000 }]);
  expect(offline).toMatchObject({ status: 'offline', offlineSinceMs: AT + 4_000 });
  expect([...engine.hosts()]).toEqual([offline]);
});

test('an alert is stored with its severity', () => {
  const db = openInMemory();
  const engine = new SqliteEngine(db, undefined, { serves: true, onForgottenJobs: () => {} });
  engine.addHost('a', 'web', Buffer.from('a'));
  const job = { hostId: 'a', startedAtMs: AT, finishedAtMs: AT + 1 } as const;
  applyReports(
    engine,
    [
      ['finishJob', { ...job, jobId: '1', kind: 'backup', status: 'succeeded', exitCode: 3 }],
      ['finishJob', { ...job, jobId: '2', kind: 'check', status: 'failed' }],
      ['finishJob', { ...job, jobId: '3', kind: 'forget', status: 'failed' }],
    ],
    new Changes(),
  );
  const rows = db.prepare('SELECT kind, severity FROM alerts ORDER BY kind').all();
  expect(rows.map((row) => Object.values(row))).toEqual([
    ['backup_incomplete', 'info'],
    ['check_failed', 'critical'],
    ['forget_failed', 'warning'],
  ]);
});

// Whoever opens the database sees since when a host has been offline.
test('at a start a host without an open offline alert is offline from then on, and another one since it was', () => {
  const engine = new SqliteEngine(openInMemory(), undefined, {
    serves: true,
    onForgottenJobs: () => {},
  });
  const agent = { agentVersion: '1', hostname: 'x' };
  const reports: Report[] = ['alerted', 'away', 'connected'].flatMap((hostId, n): Report[] => {
    engine.addHost(hostId, hostId, Buffer.from(hostId));
    const connection = n;
    const goodbye: Report[] =
      hostId === 'connected' ? [] : [['goodbye', { hostId, connection, atMs: AT }]];
    return [['hello', { hostId, connection, agent }], ...goodbye];
  });
  applyReports(engine, [...reports, ['offline', { hostId: 'alerted' }]], new Changes());
  engine.addHost('pending', 'pending', Buffer.from('pending'));
  const startedAt = Date.now();
  engine.startServing();
  const states = Array.from(engine.hosts(), ({ hostId, status, connection, offlineSinceMs }) => {
    const since = (offlineSinceMs ?? 0) >= startedAt ? 'the start' : offlineSinceMs;
    return [hostId, status, connection, since];
  });
  expect(states).toEqual([
    ['alerted', 'offline', undefined, AT],
    ['away', 'offline', undefined, 'the start'],
    ['connected', 'offline', undefined, 'the start'],
    ['pending', 'pending', undefined, undefined],
  ]);
  engine.close();
});
