import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ulid } from 'ulid';
import type { Host, RepoStatus, Severity } from '../metrics/host.ts';
import type { JobKind } from '../metrics/jobs.ts';
import { JOB_ALERTS, OFFLINE_ALERT, OFFLINE_ALERT_AFTER_MS } from './alert-rules.ts';
import { checkHostName, newHostToken, tokenDigest } from './enrolment.ts';
import type {
  Answer,
  FinishVerdict,
  Gone,
  JobFinish,
  ListedHost,
  OperationName,
  Request,
} from './operations.ts';

/** Finished jobs are kept this long: a finish that is repeated later would count again. */
export const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
const PRUNE_STEP = 500;

type Handlers = { readonly [N in OperationName]: (request: Request<N>) => Answer<N> };

/**
 * The fleet in SQLite: what each operation does, to be run inside a transaction. Hosts whose row in the
 * exposition may have changed are gathered in `touched`, for after the commit.
 */
export class FleetDatabase {
  readonly touched = new Set<string>();
  readonly handlers: Handlers;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.handlers = {
      addHost: ({ host }) => this.#addHost(host),
      removeHost: ({ hostId }) => this.#removeHost(hostId),
      listHosts: () => this.#listHosts(),
      authenticate: ({ tokenDigest }) => this.#authenticate(tokenDigest),
      hello: (request) => this.#hello(request),
      goodbye: (request) => this.#goodbye(request),
      startJob: (request) => this.#startJob(request),
      finishJob: (request) => this.#finishJob(request),
      repoStats: (request) => this.#repoStats(request),
    };
  }

  /**
   * No host is online when a control plane starts; from now on it is known to be away. For how long it could
   * not have connected is not its fault, so all that have no alert yet start anew.
   */
  forgetConnections(): void {
    this.#run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE status <> 'pending'
         AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.host_id = hosts.host_id AND a.kind = ?)`,
      Date.now(),
      OFFLINE_ALERT.alert,
    );
  }

  /** Every host that has a row in the exposition, in the order of the exposition. */
  *hosts(): Iterable<Host> {
    for (const row of this.#prepare(`${SELECT_HOST} ORDER BY host_id`).iterate()) {
      yield hostFromRow(row as unknown as HostRow);
    }
  }

  host(hostId: string): Host | undefined {
    const row = this.#get<HostRow>(`${SELECT_HOST} AND host_id = ?`, hostId);
    return row && hostFromRow(row);
  }

  /** Every host with the SHA-256 of its token, pending ones included. */
  enrolled(): [hostId: string, tokenDigest: Uint8Array][] {
    const rows = this.#prepare('SELECT host_id, token_digest FROM hosts').all();
    return rows as unknown as [string, Uint8Array][];
  }

  tokenDigest(hostId: string): Uint8Array | undefined {
    return this.#get<[Uint8Array]>('SELECT token_digest FROM hosts WHERE host_id = ?', hostId)?.[0];
  }

  hasHost(hostId: string): boolean {
    return this.#get('SELECT 1 FROM hosts WHERE host_id = ?', hostId) !== undefined;
  }

  /** Opens an alert for each host that went offline between the two times and still is. */
  alertOffline(afterMs: number, untilMs: number): void {
    const hosts = this.#prepare(
      `SELECT host_id FROM hosts
       WHERE status = 'offline' AND offline_since > ? AND offline_since <= ?`,
    ).all(afterMs - OFFLINE_ALERT_AFTER_MS, untilMs - OFFLINE_ALERT_AFTER_MS);
    for (const [hostId] of hosts as unknown as [string][]) {
      this.#openAlert(hostId, OFFLINE_ALERT.alert, OFFLINE_ALERT.severity, untilMs);
    }
  }

  /** Deletes a few of the jobs that are older than `JOBS_KEPT_MS`; @returns whether there may be more. */
  pruneJobs(now: number): boolean {
    const deleted = this.#run(
      `DELETE FROM jobs WHERE (host_id, job_id) IN
         (SELECT host_id, job_id FROM jobs WHERE recorded_at < ? LIMIT ${PRUNE_STEP})`,
      now - JOBS_KEPT_MS,
    );
    return deleted === PRUNE_STEP;
  }

  #addHost(host: string): { hostId: string; token: string } {
    checkHostName(host);
    const hostId = ulid();
    const token = newHostToken();
    this.#run(
      'INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES (?, ?, ?, ?)',
      hostId,
      host,
      tokenDigest(token),
      Date.now(),
    );
    return { hostId, token };
  }

  #removeHost(hostId: string): boolean {
    this.touched.add(hostId);
    return this.#run('DELETE FROM hosts WHERE host_id = ?', hostId) > 0;
  }

  #listHosts(): ListedHost[] {
    const rows = this.#prepare(
      `SELECT host_id, host, status, last_backup_at, last_backup_ok,
         (SELECT json_group_array(kind) FROM (SELECT kind FROM alerts a WHERE a.host_id = h.host_id ORDER BY kind))
       FROM hosts h ORDER BY host_id`,
    ).all() as unknown as [
      string,
      string,
      ListedHost['status'],
      number | null,
      number | null,
      string,
    ][];
    return rows.map(([hostId, host, status, at, ok, alerts]) => ({
      hostId,
      host,
      status,
      ...(at !== null && { lastBackup: { finishedAtMs: at, succeeded: ok === 1 } }),
      openAlerts: JSON.parse(alerts),
    }));
  }

  #authenticate(digest: Uint8Array): string | undefined {
    return this.#get<[string]>('SELECT host_id FROM hosts WHERE token_digest = ?', digest)?.[0];
  }

  #hello({ hostId, connection, agent }: Request<'hello'>): { host: string } | Gone {
    const row = this.#get<[string]>(
      `UPDATE hosts SET status = 'online', connection = ?, offline_since = NULL, agent_version = ?,
         hostname = ?, restic_version = ?, os = ?, arch = ?, boot_time = ?
       WHERE host_id = ? RETURNING host`,
      connection,
      agent.agentVersion,
      agent.hostname,
      agent.resticVersion ?? null,
      agent.os ?? null,
      agent.arch ?? null,
      agent.bootTimeMs ?? null,
      hostId,
    );
    if (row === undefined) return 'gone';
    this.#resolveAlert(hostId, OFFLINE_ALERT.alert);
    this.touched.add(hostId);
    return { host: row[0] };
  }

  #goodbye({ hostId, connection }: Request<'goodbye'>): null {
    const changed = this.#run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE host_id = ? AND connection = ?`,
      Date.now(),
      hostId,
      connection,
    );
    if (changed > 0) this.touched.add(hostId);
    return null;
  }

  #startJob({ hostId, jobId, kind, startedAtMs }: Request<'startJob'>): 'recorded' | Gone {
    if (!this.hasHost(hostId)) return 'gone';
    this.#run(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      jobId,
      kind,
      startedAtMs,
      Date.now(),
    );
    return 'recorded';
  }

  #finishJob(finish: JobFinish): FinishVerdict {
    const { hostId, jobId } = finish;
    if (!this.hasHost(hostId)) return 'gone';
    const known = this.#get<[JobKind, number, string | null]>(
      'SELECT kind, started_at, status FROM jobs WHERE host_id = ? AND job_id = ?',
      hostId,
      jobId,
    );
    if (known !== undefined && known[2] !== null) return { first: false };
    const [kind, startedAtMs] = known ?? [finish.kind, finish.startedAtMs];
    if (kind === undefined || startedAtMs === undefined) return 'unknown_job';
    this.#run(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, exit_code, error, recorded_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at,
         exit_code = excluded.exit_code, error = excluded.error, recorded_at = excluded.recorded_at`,
      hostId,
      jobId,
      kind,
      startedAtMs,
      finish.status,
      finish.finishedAtMs,
      finish.exitCode ?? null,
      finish.error ?? null,
      Date.now(),
    );
    this.#followUp(kind, finish);
    return { first: true, kind, durationMs: finish.finishedAtMs - startedAtMs };
  }

  /**
   * What a finish means for its host. Agents report late what they could not report in time, so a host
   * shows the job that finished last, not the one that was reported last. Jobs that mean nothing, such as a
   * cancelled check, do not hide those before them.
   */
  #followUp(kind: JobKind, { hostId, status, finishedAtMs }: JobFinish): void {
    const rule = JOB_ALERTS[kind];
    if (rule === undefined) return;
    const telling = [...rule.opensOn, 'succeeded'];
    if (!telling.includes(status)) return;
    if (this.#hasLaterFinish(hostId, kind, telling, finishedAtMs)) return;
    this.touched.add(hostId);
    if (rule.opensOn.includes(status)) {
      this.#openAlert(hostId, rule.alert, rule.severity, finishedAtMs);
    } else {
      this.#resolveAlert(hostId, rule.alert);
    }
    if (kind === 'backup') {
      this.#run(
        'UPDATE hosts SET last_backup_at = ?, last_backup_ok = ? WHERE host_id = ?',
        finishedAtMs,
        status === 'succeeded' ? 1 : 0,
        hostId,
      );
    }
    if (kind === 'init') {
      this.#run(
        'UPDATE hosts SET repo_status = ? WHERE host_id = ?',
        status === 'succeeded' ? 'ready' : 'init_failed',
        hostId,
      );
    }
  }

  #hasLaterFinish(
    hostId: string,
    kind: JobKind,
    statuses: readonly string[],
    finishedAtMs: number,
  ): boolean {
    const job = this.#get(
      `SELECT 1 FROM jobs
       WHERE host_id = ? AND kind = ? AND finished_at > ? AND status IN (SELECT value FROM json_each(?)) LIMIT 1`,
      hostId,
      kind,
      finishedAtMs,
      JSON.stringify(statuses),
    );
    if (job !== undefined) return true;
    // The last backup is still known when its job was forgotten.
    return (
      kind === 'backup' &&
      this.#get(
        'SELECT 1 FROM hosts WHERE host_id = ? AND last_backup_at > ?',
        hostId,
        finishedAtMs,
      ) !== undefined
    );
  }

  #repoStats(request: Request<'repoStats'>): 'recorded' | Gone {
    const { hostId, totalSizeBytes, snapshotCount, repoStatus } = request;
    const changed = this.#run(
      `UPDATE hosts SET repo_size_bytes = coalesce(?, repo_size_bytes),
         snapshot_count = coalesce(?, snapshot_count), repo_status = coalesce(?, repo_status)
       WHERE host_id = ?`,
      totalSizeBytes ?? null,
      snapshotCount ?? null,
      repoStatus ?? null,
      hostId,
    );
    if (changed === 0) return 'gone';
    this.touched.add(hostId);
    return 'recorded';
  }

  #openAlert(hostId: string, alert: string, severity: Severity, at: number): void {
    this.#run(
      `INSERT INTO alerts (host_id, kind, severity, opened_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      alert,
      severity,
      at,
    );
    this.touched.add(hostId);
  }

  #resolveAlert(hostId: string, alert: string): void {
    this.#run('DELETE FROM alerts WHERE host_id = ? AND kind = ?', hostId, alert);
  }

  #get<T>(sql: string, ...values: SqlValue[]): T | undefined {
    return this.#prepare(sql).get(...values) as T | undefined;
  }

  /** @returns how many rows changed */
  #run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      // Rows as arrays come three times as fast as objects.
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

type SqlValue = string | number | null | Uint8Array;

const SELECT_HOST = `
  SELECT host_id, host, status = 'online', last_backup_at, last_backup_ok, repo_size_bytes, repo_status,
    snapshot_count,
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'critical'),
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'info'),
    (SELECT count(*) FROM alerts a WHERE a.host_id = h.host_id AND severity = 'warning')
  FROM hosts h WHERE status <> 'pending'`;

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
