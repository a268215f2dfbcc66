import { expect, it } from 'vitest';
import { detailsJson } from '../../src/contract/host-details.ts';
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
