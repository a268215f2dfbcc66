import type { Host, Severity } from '../../contract/host.ts';
import { asLabel, hostNameError } from '../../contract/host-name.ts';
import type { ListedHost } from '../../contract/operations.ts';
import { ALERT_SEVERITIES, type AlertKind } from './alert-kinds.ts';
import { allowedSilenceMs } from './connections.ts';
import type { HostRecord } from './records.ts';

/*
 * Converts the record of a host for the exposition and for the command `hosts list`.
 */

/** Returns the host's row in the exposition; undefined for a pending host, which has none. */
export function shownHost(record: HostRecord, online: boolean): Host | undefined {
  if (record.status === 'pending') return undefined;
  const { hostId, agent, lastBackup, reportedAtMs } = record;
  const openAlerts: Record<Severity, number> = { critical: 0, info: 0, warning: 0 };
  for (const alert of alertsOf(record)) openAlerts[ALERT_SEVERITIES[alert]]++;
  return {
    hostId,
    host: shownName(record),
    online,
    reportsByHttp: online && reportedAtMs !== undefined,
    lastBackup,
    lastBackupSuccessMs: record.lastBackupSuccessMs,
    lastBackupAddedBytes: record.lastBackupAddedBytes,
    lastCheckSuccessMs: record.lastCheckSuccessMs,
    backupIntervalSeconds: agent?.backupIntervalSeconds,
    repoSizeBytes: record.repoSizeBytes,
    repoStatus: record.repoStatus,
    snapshotCount: record.snapshotCount,
    openAlerts,
    agentVersion: asLabel(agent?.agentVersion ?? ''),
    resticVersion: asLabel(agent?.resticVersion ?? ''),
    os: asLabel(agent?.os ?? ''),
    arch: asLabel(agent?.arch ?? ''),
  };
}

/** Earlier versions accepted names that are not allowed as labels. Such a name is cleaned here. */
function shownName({ hostId, host }: HostRecord): string {
  return hostNameError(host) === undefined ? host : asLabel(host).trim() || hostId;
}

/** Whether a host that reports by HTTP is still online. */
function isHeardOf(record: HostRecord, nowMs: number): boolean {
  const { reportedAtMs } = record;
  return reportedAtMs !== undefined && nowMs - reportedAtMs < allowedSilenceMs(record);
}

/**
 * @param isServed whether a control plane runs. If none does, no host has a connection, although a
 * killed control plane may have left hosts online in the database.
 */
export function listedHost(record: HostRecord, isServed: boolean, nowMs: number): ListedHost {
  const { hostId, host, status, lastBackup } = record;
  return {
    hostId,
    host,
    status: status === 'online' && !isServed && !isHeardOf(record, nowMs) ? 'offline' : status,
    ...(lastBackup && {
      lastBackup: { finishedAtMs: lastBackup.finishedAtMs, succeeded: lastBackup.succeeded },
    }),
    openAlerts: alertsOf(record).sort(),
  };
}

function alertsOf({ alerts }: HostRecord): AlertKind[] {
  return Object.keys(alerts) as AlertKind[];
}
