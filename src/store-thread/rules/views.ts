import type { Host, Severity } from '../../contract/host.ts';
import type { ListedHost } from '../../contract/operations.ts';
import { ALERT_SEVERITIES, type AlertKind } from './alert-kinds.ts';
import type { HostRecord } from './records.ts';

/*
 * Hosts as others want them.
 */

/** The host's row in the exposition; undefined for a pending host, which has none. */
export function shownHost(record: HostRecord, online: boolean): Host | undefined {
  if (record.status === 'pending') return undefined;
  const { hostId, host, lastBackup, repoSizeBytes, repoStatus, snapshotCount } = record;
  const openAlerts: Record<Severity, number> = { critical: 0, info: 0, warning: 0 };
  for (const alert of alertsOf(record)) openAlerts[ALERT_SEVERITIES[alert]]++;
  return {
    hostId,
    host,
    online,
    ...(lastBackup && {
      lastBackup: { finishedAtMs: lastBackup.finishedAtMs, succeeded: lastBackup.succeeded },
    }),
    ...(repoSizeBytes !== undefined && { repoSizeBytes }),
    repoStatus,
    snapshotCount,
    openAlerts,
  };
}

/** @param isServed without a control plane nobody is online, whatever one that was killed left behind */
export function listedHost(record: HostRecord, isServed: boolean): ListedHost {
  const { hostId, host, status, lastBackup } = record;
  return {
    hostId,
    host,
    status: status === 'online' && !isServed ? 'offline' : status,
    ...(lastBackup && {
      lastBackup: { finishedAtMs: lastBackup.finishedAtMs, succeeded: lastBackup.succeeded },
    }),
    openAlerts: alertsOf(record).sort(),
  };
}

function alertsOf({ alerts }: HostRecord): AlertKind[] {
  return Object.keys(alerts) as AlertKind[];
}
