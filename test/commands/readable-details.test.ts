import { expect, it } from 'vitest';
import { readableDetails } from '../../src/commands/readable-details.ts';
import type { HostDetailsJson } from '../../src/contract/host-details.ts';

const HOST: HostDetailsJson = {
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
  jobs: [],
};

it.each([
  [0, '0s'],
  [1_234, '1.234s'],
  [59_999, '59.999s'],
  [60_000, '1m 0s'],
  [3_599_999, '59m 59s'],
  [3_600_000, '1h 0m 0s'],
  [7_503_000, '2h 5m 3s'],
  [90_061_000, '25h 1m 1s'],
])('a job of %i ms took %s', (ms, shown) => {
  const job = {
    job_id: 'a',
    kind: 'backup',
    status: 'succeeded',
    started_at: new Date(0).toISOString(),
    finished_at: new Date(ms).toISOString(),
    exit_code: 0,
    error: null,
    bytes_added: null,
    files_unreadable: null,
  } as const;
  const line = readableDetails({ ...HOST, jobs: [job] })
    .split('\n')
    .at(-1);
  expect(line?.split(/ {2,}/)).toEqual([
    job.started_at,
    job.finished_at,
    shown,
    'backup',
    'succeeded',
    '0',
    'a',
  ]);
});
