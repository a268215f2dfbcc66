import { expect, it } from 'vitest';
import {
  detailsJson,
  type HostDetails,
  openAlerts,
  summaryJson,
} from '../../src/contract/host-details.ts';
import { RUNNING, UNKNOWN } from '../support/unknown-host.ts';

it('what is zero is 0 in the JSON of a host, and not null', () => {
  const zero = { ...UNKNOWN, repoSizeBytes: 0, snapshotCount: 0, lastSuccessMs: 0 };
  const finish = { exitCode: 0, bytesAdded: 0, filesUnreadable: 0, finishedAtMs: 0 };
  const jobs = [{ ...RUNNING, ...finish, status: 'succeeded', error: '' } as const];
  const lastBackup = { finishedAtMs: 0, succeeded: false };
  const epoch = '1970-01-01T00:00:00.000Z';
  expect(detailsJson({ ...zero, lastBackup, jobs })).toMatchObject({
    last_backup_at: epoch,
    last_backup_success: false,
    last_success_at: epoch,
    repo_size_bytes: 0,
    snapshot_count: 0,
    jobs: [
      {
        status: 'succeeded',
        finished_at: epoch,
        exit_code: 0,
        error: '',
        bytes_added: 0,
        files_unreadable: 0,
      },
    ],
  });
});

it('what is unknown is null in the JSON of a host', () => {
  expect(detailsJson({ ...UNKNOWN, jobs: [RUNNING] })).toEqual({
    host_id: 'ID',
    host: 'web',
    state: 'ok',
    status: 'online',
    last_backup_at: null,
    last_backup_success: null,
    last_success_at: null,
    backup_interval_seconds: null,
    repo_size_bytes: null,
    snapshot_count: null,
    alerts: [],
    agent_version: null,
    restic_version: null,
    os: null,
    arch: null,
    jobs: [
      {
        job_id: 'a',
        kind: 'backup',
        status: 'running',
        started_at: '1970-01-01T00:00:00.000Z',
        finished_at: null,
        exit_code: null,
        error: null,
        bytes_added: null,
        files_unreadable: null,
      },
    ],
  });
});

it('the JSON of a host has all that is known of it, its alerts with their severity', () => {
  const [at, before] = [Date.UTC(2026, 0, 2, 3, 4, 5, 678), Date.UTC(2026, 0, 1)];
  const opened = { prune_failed: before, backup_incomplete: at, forget_failed: at };
  const details = {
    ...UNKNOWN,
    state: 'alerts',
    status: 'offline',
    lastBackup: { finishedAtMs: at, succeeded: true },
    lastSuccessMs: before,
    backupIntervalSeconds: 3_600,
    repoSizeBytes: 5,
    snapshotCount: 6,
    alerts: openAlerts(opened),
    agentVersion: '1.4',
    resticVersion: '0.18',
    os: 'linux',
    arch: 'arm64',
    jobs: [
      {
        ...RUNNING,
        kind: 'check',
        status: 'failed',
        startedAtMs: before,
        finishedAtMs: at,
        exitCode: 1,
        error: 'no',
        bytesAdded: 7,
        filesUnreadable: 8,
      },
    ],
  } as const satisfies HostDetails;
  const common = {
    host_id: 'ID',
    host: 'web',
    state: 'alerts',
    status: 'offline',
    last_backup_at: '2026-01-02T03:04:05.678Z',
    last_backup_success: true,
    last_success_at: '2026-01-01T00:00:00.000Z',
    backup_interval_seconds: 3_600,
    repo_size_bytes: 5,
    snapshot_count: 6,
    agent_version: '1.4',
    restic_version: '0.18',
  };
  const openedNow = { opened_at: '2026-01-02T03:04:05.678Z' };
  expect(detailsJson(details)).toEqual({
    ...common,
    alerts: [
      { kind: 'backup_incomplete', severity: 'info', ...openedNow },
      { kind: 'forget_failed', severity: 'warning', ...openedNow },
      { kind: 'prune_failed', severity: 'critical', opened_at: '2026-01-01T00:00:00.000Z' },
    ],
    os: 'linux',
    arch: 'arm64',
    jobs: [
      {
        job_id: 'a',
        kind: 'check',
        status: 'failed',
        started_at: '2026-01-01T00:00:00.000Z',
        finished_at: '2026-01-02T03:04:05.678Z',
        exit_code: 1,
        error: 'no',
        bytes_added: 7,
        files_unreadable: 8,
      },
    ],
  });
  const alerts = ['backup_incomplete', 'prune_failed'] as const;
  expect(summaryJson({ ...details, alerts })).toEqual({ ...common, alerts });
});
