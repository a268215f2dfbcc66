import type { HostDetails } from '../../src/contract/host-details.ts';
import type { ReportedJob } from '../../src/contract/last-jobs.ts';

/** A host about which as little as possible is known. */
export const UNKNOWN: HostDetails = {
  hostId: 'ID',
  host: 'web',
  state: 'ok',
  status: 'online',
  lastBackup: undefined,
  lastSuccessMs: undefined,
  backupIntervalSeconds: undefined,
  repoSizeBytes: undefined,
  snapshotCount: undefined,
  agentVersion: undefined,
  resticVersion: undefined,
  os: undefined,
  arch: undefined,
  alerts: [],
  jobs: [],
};

/** A job of which only the start was reported. */
export const RUNNING: ReportedJob = {
  jobId: 'a',
  kind: 'backup',
  status: undefined,
  startedAtMs: 0,
  finishedAtMs: undefined,
  exitCode: undefined,
  error: undefined,
  bytesAdded: undefined,
  filesUnreadable: undefined,
};
