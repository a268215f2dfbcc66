import type { HostRecord } from '../../../src/store-thread/rules/records.ts';
import { ulidOf } from '../../support/ulid.ts';

export const AT = Date.UTC(2026, 0, 2);

/** A host that is offline and has reported nothing but its details. */
export const OFFLINE: HostRecord = {
  hostId: ulidOf(1),
  host: 'web',
  status: 'offline',
  connection: undefined,
  isElsewhere: false,
  offlineSinceMs: AT,
  reportedAtMs: undefined,
  agent: { agentVersion: '1', hostname: 'web' },
  lastBackup: undefined,
  lastBackupSuccessMs: undefined,
  lastBackupAddedBytes: undefined,
  lastCheckSuccessMs: undefined,
  repoSizeBytes: undefined,
  repoStatus: 'unknown',
  snapshotCount: 0,
  alerts: {},
  lastFinishes: {},
};

export const ONLINE: HostRecord = {
  ...OFFLINE,
  status: 'online',
  connection: 7,
  offlineSinceMs: undefined,
};

export const REPORTING: HostRecord = { ...ONLINE, connection: undefined, reportedAtMs: AT };
