import type { AlertKind } from '../../contract/alert-kinds.ts';
import type { RepoStatus } from '../../contract/host.ts';
import type { EnrolledHost } from '../../contract/operations.ts';
import { orUndefined, timesOf } from '../columns.ts';
import type { FinishKind, HostRecord } from '../rules/records.ts';
import type { SqlValue, Statements } from './statements.ts';

const SELECT = `
  SELECT host_id, host, status, connection, offline_since, reported_at,
    agent_version, hostname, restic_version, os, arch, boot_time, backup_interval_seconds,
    last_backup_at, last_backup_ok, last_backup_duration_ms, last_backup_success_at,
    last_backup_added_bytes, last_check_success_at, repo_size_bytes, repo_status, snapshot_count,
    (SELECT json_group_object(kind, opened_at) FROM alerts a WHERE a.host_id = h.host_id),
    (SELECT json_group_object(kind, finished_at) FROM last_finishes f WHERE f.host_id = h.host_id)
  FROM hosts h`;

type Row = [
  hostId: string,
  host: string,
  status: HostRecord['status'],
  connection: number | null,
  offlineSince: number | null,
  reportedAt: number | null,
  agentVersion: string | null,
  hostname: string | null,
  resticVersion: string | null,
  os: string | null,
  arch: string | null,
  bootTime: number | null,
  backupInterval: number | null,
  lastBackupAt: number | null,
  lastBackupOk: number | null,
  lastBackupDuration: number | null,
  lastBackupSuccessAt: number | null,
  lastBackupAddedBytes: number | null,
  lastCheckSuccessAt: number | null,
  repoSizeBytes: number | null,
  repoStatus: RepoStatus,
  snapshotCount: number,
  alerts: string,
  lastFinishes: string,
];

/** The table `hosts`. All writes to it are in this file. */
export class Hosts {
  readonly #statements: Statements;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  get(hostId: string): HostRecord | undefined {
    const row = this.#statements.get<Row>(`${SELECT} WHERE host_id = ?`, hostId);
    return row && recordOf(row);
  }

  /** Every host, sorted by its id. */
  *all(): Iterable<HostRecord> {
    for (const row of this.#statements.iterate<Row>(`${SELECT} ORDER BY host_id`)) {
      yield recordOf(row);
    }
  }

  /** Writes all columns but the name and the token. */
  update({ hostId, agent, lastBackup, ...host }: HostRecord): void {
    this.#statements.run(
      `UPDATE hosts SET status = ?, connection = ?, offline_since = ?, reported_at = ?,
         agent_version = ?, hostname = ?, restic_version = ?, os = ?, arch = ?, boot_time = ?,
         backup_interval_seconds = ?, last_backup_at = ?, last_backup_ok = ?, last_backup_duration_ms = ?,
         last_backup_success_at = ?, last_backup_added_bytes = ?, last_check_success_at = ?,
         repo_size_bytes = ?, repo_status = ?, snapshot_count = ?
       WHERE host_id = ?`,
      host.status,
      orNull(host.connection),
      orNull(host.offlineSinceMs),
      orNull(host.reportedAtMs),
      orNull(agent?.agentVersion),
      orNull(agent?.hostname),
      orNull(agent?.resticVersion),
      orNull(agent?.os),
      orNull(agent?.arch),
      orNull(agent?.bootTimeMs),
      orNull(agent?.backupIntervalSeconds),
      orNull(lastBackup?.finishedAtMs),
      lastBackup === undefined ? null : Number(lastBackup.succeeded),
      orNull(lastBackup?.durationMs),
      orNull(host.lastBackupSuccessMs),
      orNull(host.lastBackupAddedBytes),
      orNull(host.lastCheckSuccessMs),
      orNull(host.repoSizeBytes),
      host.repoStatus,
      host.snapshotCount,
      hostId,
    );
  }

  enrolled(): EnrolledHost[] {
    return this.#statements.all('SELECT host_id, token_digest FROM hosts');
  }

  ofToken(digest: Uint8Array): string | undefined {
    const sql = 'SELECT host_id FROM hosts WHERE token_digest = ?';
    return this.#statements.get<[string]>(sql, digest)?.[0];
  }

  add(hostId: string, host: string, digest: Uint8Array): void {
    this.#statements.run(
      'INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES (?, ?, ?, ?)',
      hostId,
      host,
      digest,
      Date.now(),
    );
  }

  /** Foreign keys delete the jobs and alerts of the host. */
  remove(hostId: string): boolean {
    return this.#statements.run('DELETE FROM hosts WHERE host_id = ?', hostId) > 0;
  }

  replaceToken(hostId: string, digest: Uint8Array): string | undefined {
    const sql = 'UPDATE hosts SET token_digest = ? WHERE host_id = ? RETURNING host';
    return this.#statements.get<[string]>(sql, digest, hostId)?.[0];
  }

  rename(hostId: string, host: string): boolean {
    const sql = 'UPDATE hosts SET host = ? WHERE host_id = ?';
    return this.#statements.run(sql, host, hostId) > 0;
  }

  /** A host with an offline alert keeps `offline_since`: it has been offline since then. */
  forgetConnections(atMs: number): void {
    this.#statements.run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE status <> 'pending' AND reported_at IS NULL AND NOT EXISTS
         (SELECT 1 FROM alerts a WHERE a.host_id = hosts.host_id AND a.kind = 'agent_offline')`,
      atMs,
    );
  }
}

function recordOf(row: Row): HostRecord {
  const [hostId, host, status, connection, offlineSince, reportedAt, ...rest] = row;
  const [agentVersion, hostname, resticVersion, os, arch, bootTime, backupInterval, ...state] =
    rest;
  const [backupAt, backupOk, backupDuration, backupSuccessAt, addedBytes, ...repository] = state;
  const [checkSuccessAt, repoSizeBytes, repoStatus, snapshotCount, alerts, finishes] = repository;
  return {
    hostId,
    host,
    status,
    connection: orUndefined(connection),
    isElsewhere: false,
    offlineSinceMs: orUndefined(offlineSince),
    reportedAtMs: orUndefined(reportedAt),
    agent:
      agentVersion === null || hostname === null
        ? undefined
        : {
            agentVersion,
            hostname,
            resticVersion: orUndefined(resticVersion),
            os: orUndefined(os),
            arch: orUndefined(arch),
            bootTimeMs: orUndefined(bootTime),
            backupIntervalSeconds: orUndefined(backupInterval),
          },
    lastBackup:
      backupAt === null
        ? undefined
        : {
            finishedAtMs: backupAt,
            succeeded: backupOk === 1,
            durationMs: orUndefined(backupDuration),
          },
    lastBackupSuccessMs: orUndefined(backupSuccessAt),
    lastBackupAddedBytes: orUndefined(addedBytes),
    lastCheckSuccessMs: orUndefined(checkSuccessAt),
    repoSizeBytes: orUndefined(repoSizeBytes),
    repoStatus,
    snapshotCount,
    alerts: timesOf<AlertKind>(alerts),
    lastFinishes: timesOf<FinishKind>(finishes),
  };
}

function orNull<T extends SqlValue>(value: T | undefined): T | null {
  return value ?? null;
}
