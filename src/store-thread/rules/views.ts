import { ALERT_KINDS, ALERT_SEVERITIES, type AlertKind } from '../../contract/alert-kinds.ts';
import type { Host, Severity } from '../../contract/host.ts';
import { type HostDetails, openAlerts } from '../../contract/host-details.ts';
import { asLabel, hostNameError } from '../../contract/host-name.ts';
import { HOST_STATES, stateRank } from '../../contract/host-state.ts';
import type { ReportedJob } from '../../contract/last-jobs.ts';
import type { ListedHost } from '../../contract/operations.ts';
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

/** The row of a pending host in the API. */
export function pendingHost(hostId: string, host: string): Host {
  return { hostId, host: shownName({ hostId, host }), online: false };
}

/** A bit for each kind of alert that is open, in the order of `ALERT_KINDS`. */
export function alertBits({ alerts }: HostRecord): number {
  let bits = 0;
  for (const kind in alerts) bits |= 1 << ALERT_KINDS.indexOf(kind as AlertKind);
  return bits;
}

/** Earlier versions accepted names that are not allowed as labels. Such a name is cleaned here. */
function shownName({ hostId, host }: Pick<HostRecord, 'hostId' | 'host'>): string {
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

/** @param isServed as in `listedHost` */
export function hostDetails(
  record: HostRecord,
  jobs: readonly ReportedJob[],
  isServed: boolean,
  nowMs: number,
): HostDetails {
  const { status } = listedHost(record, isServed, nowMs);
  const { hostId, lastBackup, agent } = record;
  const isPending = status === 'pending';
  const lastBackupIfGood = lastBackup?.succeeded ? lastBackup.finishedAtMs : undefined;
  const lastSuccessMs = record.lastBackupSuccessMs ?? lastBackupIfGood;
  const rank = stateRank(
    {
      isPending,
      isOnline: status === 'online',
      hasBackup: lastBackup !== undefined,
      lastBackupSucceeded: lastBackup?.succeeded ?? false,
      lastSuccessMs: lastSuccessMs ?? Number.NaN,
      backupIntervalSeconds: agent?.backupIntervalSeconds ?? Number.NaN,
      hasAlerts: alertBits(record) !== 0,
    },
    nowMs,
  );
  return {
    hostId,
    host: shownName(record),
    state: HOST_STATES[rank] ?? 'ok',
    status,
    lastBackup,
    lastSuccessMs,
    backupIntervalSeconds: agent?.backupIntervalSeconds,
    repoSizeBytes: record.repoSizeBytes,
    snapshotCount: isPending ? undefined : record.snapshotCount,
    agentVersion: knownText(agent?.agentVersion),
    resticVersion: knownText(agent?.resticVersion),
    os: knownText(agent?.os),
    arch: knownText(agent?.arch),
    alerts: openAlerts(record.alerts),
    jobs,
  };
}

function knownText(text: string | undefined): string | undefined {
  return asLabel(text ?? '') || undefined;
}

function alertsOf({ alerts }: HostRecord): AlertKind[] {
  return Object.keys(alerts) as AlertKind[];
}
