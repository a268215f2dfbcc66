import type { Host } from '../../src/index.ts';
import { FleetTotals } from '../support/fleet.ts';
import type { FinishedJob } from '../support/jobs.ts';

/** The data that every contestant shows. */
export interface Loaded {
  readonly hosts: Iterable<Host>;
  readonly jobs: readonly FinishedJob[];
}

/** A metrics library of another project that shows the fleet. */
export interface FleetPeer {
  upsert(host: Host): void;
  render(): Promise<string>;
}

export type Labels = Readonly<Record<string, string>>;

export const BUCKET_SECONDS = [1, 5, 30, 60, 300, 1800, 3600, 21600, 86400] as const;

/** Labels of `rm_build_info`. All contestants use the same. */
export const BUILD = { version: '0.1.0', commit: '0123456789abcdef0123456789abcdef01234567' };

type SetGauge = (labels: Labels, value: number) => void;

interface Library {
  gauge(name: string, help: string, labelNames: readonly string[]): SetGauge;
  observe(labels: Labels, seconds: number): void;
}

/**
 * Fills a metrics library with the families of `docs/prometheus.md`.
 * @returns a function that changes a host
 */
export function load({ hosts, jobs }: Loaded, library: Library): (host: Host) => void {
  const plain = (name: string, labelNames: readonly string[] = []) =>
    library.gauge(name, `${name}.`, labelNames);
  const ofHost = (name: string) => plain(name, ['host_id', 'host']);

  plain('rm_build_info', ['version', 'commit', 'node_version'])(
    { ...BUILD, node_version: process.version },
    1,
  );
  const online = ofHost('rm_host_agent_online');
  const interval = ofHost('rm_host_backup_interval_seconds');
  const info = plain('rm_host_info', [
    'host_id',
    'host',
    'agent_version',
    'restic_version',
    'os',
    'arch',
  ]);
  const addedBytes = ofHost('rm_host_last_backup_added_bytes');
  const duration = ofHost('rm_host_last_backup_duration_seconds');
  const successTimestamp = ofHost('rm_host_last_backup_success_timestamp_seconds');
  const checkTimestamp = ofHost('rm_host_last_check_success_timestamp_seconds');
  const success = ofHost('rm_host_last_backup_success');
  const timestamp = ofHost('rm_host_last_backup_timestamp_seconds');
  const openAlerts = ofHost('rm_host_open_alerts');
  const size = ofHost('rm_host_repo_size_bytes');
  const status = plain('rm_host_repo_status', ['host_id', 'host', 'status']);
  const snapshots = ofHost('rm_host_snapshot_count');
  for (const { kind, status, ms } of jobs) library.observe({ kind, status }, ms / 1000);

  const upsert = (host: Host) => {
    const labels = { host_id: host.hostId, host: host.host };
    const { lastBackup, openAlerts: open = {} } = host;
    online(labels, Number(host.online));
    const { agentVersion = '', resticVersion = '', os = '', arch = '' } = host;
    const runs = { agent_version: agentVersion, restic_version: resticVersion, os, arch };
    info({ ...labels, ...runs }, 1);
    const setIfKnown = (set: SetGauge, value: number | undefined) => {
      if (value !== undefined) set(labels, value);
    };
    setIfKnown(interval, host.backupIntervalSeconds);
    setIfKnown(addedBytes, host.lastBackupAddedBytes);
    setIfKnown(duration, seconds(lastBackup?.durationMs));
    setIfKnown(successTimestamp, seconds(host.lastBackupSuccessMs));
    setIfKnown(checkTimestamp, seconds(host.lastCheckSuccessMs));
    if (lastBackup !== undefined) {
      success(labels, Number(lastBackup.succeeded));
      timestamp(labels, lastBackup.finishedAtMs / 1000);
    }
    openAlerts(labels, (open.critical ?? 0) + (open.info ?? 0) + (open.warning ?? 0));
    if (host.repoSizeBytes !== undefined) size(labels, host.repoSizeBytes);
    status({ ...labels, status: host.repoStatus ?? 'unknown' }, 1);
    snapshots(labels, host.snapshotCount ?? 0);
  };
  const totals = new FleetTotals();
  for (const host of hosts) {
    upsert(host);
    totals.count(host);
  }
  const alerts = plain('rm_active_alerts', ['severity']);
  for (const severity of ['critical', 'info', 'warning'] as const) {
    alerts({ severity }, totals[severity]);
  }
  plain('rm_hosts_online')({}, totals.online);
  plain('rm_hosts_pending')({}, 0);
  plain('rm_hosts_total')({}, totals.hosts);
  return upsert;
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
