import type { Host, RepoStatus } from '../../contract/host.ts';
import type { ListedHost } from '../../contract/operations.ts';
import type { Statements } from './statements.ts';

/*
 * Hosts as others want them: the exposition, and whoever lists them.
 */

const SELECT_HOST = `
  SELECT host_id, host, status = 'online', last_backup_at, last_backup_ok, repo_size_bytes, repo_status,
    snapshot_count,
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'critical'),
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'info'),
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'warning')
  FROM hosts h WHERE status <> 'pending'`;

/** Every host that has a row in the exposition, in the order of the exposition. */
export function* shownHosts(statements: Statements): Iterable<Host> {
  for (const row of statements.iterate<HostRow>(`${SELECT_HOST} ORDER BY host_id`)) {
    yield hostFromRow(row);
  }
}

/** One of them; undefined if it has no row. */
export function shownHost(statements: Statements, hostId: string): Host | undefined {
  const row = statements.get<HostRow>(`${SELECT_HOST} AND host_id = ?`, hostId);
  return row && hostFromRow(row);
}

/** Every host, pending ones included. */
export function listedHosts(statements: Statements): ListedHost[] {
  const rows = statements.all<ListedRow>(
    `SELECT host_id, host, status, last_backup_at, last_backup_ok,
       (SELECT json_group_array(kind) FROM (SELECT kind FROM alerts a WHERE a.host_id = h.host_id ORDER BY kind))
     FROM hosts h ORDER BY host_id`,
  );
  return rows.map(([hostId, host, status, at, ok, alerts]) => ({
    hostId,
    host,
    status,
    ...(at !== null && { lastBackup: { finishedAtMs: at, succeeded: ok === 1 } }),
    openAlerts: JSON.parse(alerts),
  }));
}

type ListedRow = [
  hostId: string,
  host: string,
  status: ListedHost['status'],
  lastBackupAt: number | null,
  lastBackupOk: number | null,
  alertsAsJson: string,
];

type HostRow = [
  hostId: string,
  host: string,
  online: number,
  lastBackupAt: number | null,
  lastBackupOk: number | null,
  repoSizeBytes: number | null,
  repoStatus: RepoStatus,
  snapshotCount: number,
  critical: number,
  info: number,
  warning: number,
];

function hostFromRow(row: HostRow): Host {
  const [hostId, host, online, backupAt, backupOk, size, repoStatus, snapshotCount, ...alerts] =
    row;
  const [critical, info, warning] = alerts;
  return {
    hostId,
    host,
    online: online === 1,
    ...(backupAt !== null && {
      lastBackup: { finishedAtMs: backupAt, succeeded: backupOk === 1 },
    }),
    ...(size !== null && { repoSizeBytes: size }),
    repoStatus,
    snapshotCount,
    openAlerts: { critical, info, warning },
  };
}
