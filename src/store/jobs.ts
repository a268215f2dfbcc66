import type { JobKind } from '../metrics/jobs.ts';
import { JOB_ALERTS } from './alert-rules.ts';
import type { Alerts } from './alerts.ts';
import type { FinishVerdict, JobFinish, Request } from './operations.ts';
import type { Statements } from './statements.ts';

/** Finished jobs are kept this long: a finish that is repeated later would count again. */
const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
const PRUNE_STEP = 500;

/** The jobs of hosts that there are, and what their finishes mean for these. */
export class Jobs {
  readonly #statements: Statements;
  readonly #alerts: Alerts;
  readonly #touched: Set<string>;

  /** @param touched is told of the hosts that a finish changed */
  constructor(statements: Statements, alerts: Alerts, touched: Set<string>) {
    this.#statements = statements;
    this.#alerts = alerts;
    this.#touched = touched;
  }

  start({ hostId, jobId, kind, startedAtMs }: Request<'startJob'>): 'recorded' {
    this.#statements.run(
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

  finish(finish: JobFinish): FinishVerdict {
    const { hostId, jobId } = finish;
    const known = this.#statements.get<[JobKind, number, string | null]>(
      'SELECT kind, started_at, status FROM jobs WHERE host_id = ? AND job_id = ?',
      hostId,
      jobId,
    );
    if (known !== undefined && known[2] !== null) return { first: false };
    const [kind, startedAtMs] = known ?? [finish.kind, finish.startedAtMs];
    if (kind === undefined || startedAtMs === undefined) return 'unknown_job';
    this.#statements.run(
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

  /** Deletes a few of the jobs that are older than `JOBS_KEPT_MS`; @returns whether there may be more. */
  prune(now: number): boolean {
    const deleted = this.#statements.run(
      `DELETE FROM jobs WHERE (host_id, job_id) IN
         (SELECT host_id, job_id FROM jobs WHERE recorded_at < ? LIMIT ${PRUNE_STEP})`,
      now - JOBS_KEPT_MS,
    );
    return deleted === PRUNE_STEP;
  }

  /**
   * What a finish means for its host. Agents report late what they could not report in time, so a host
   * shows the job that finished last, not the one that was reported last. Jobs that mean nothing, such as a
   * cancelled check, do not hide those before them.
   */
  #followUp(kind: JobKind, { hostId, status, finishedAtMs }: JobFinish): void {
    const rule = JOB_ALERTS[kind];
    if (rule === undefined) return;
    const opens = rule.opensOn.includes(status);
    if (!opens && status !== 'succeeded') return;
    if (this.#hasLaterFinish(hostId, kind, finishedAtMs)) return;
    this.#touched.add(hostId);
    if (opens) {
      this.#alerts.open(hostId, rule.alert, rule.severity, finishedAtMs);
    } else {
      this.#alerts.resolve(hostId, rule.alert);
    }
    if (kind === 'backup') {
      this.#statements.run(
        'UPDATE hosts SET last_backup_at = ?, last_backup_ok = ? WHERE host_id = ?',
        finishedAtMs,
        status === 'succeeded' ? 1 : 0,
        hostId,
      );
    }
    if (kind === 'init') {
      this.#statements.run(
        'UPDATE hosts SET repo_status = ? WHERE host_id = ?',
        status === 'succeeded' ? 'ready' : 'init_failed',
        hostId,
      );
    }
  }

  /** Of the last backup the host itself knows, also when its job was forgotten. */
  #hasLaterFinish(hostId: string, kind: JobKind, finishedAtMs: number): boolean {
    const later =
      kind === 'backup'
        ? this.#statements.get(
            'SELECT 1 FROM hosts WHERE host_id = ? AND last_backup_at > ?',
            hostId,
            finishedAtMs,
          )
        : this.#statements.get(
            `SELECT 1 FROM jobs
             WHERE host_id = ? AND kind = ? AND finished_at > ? AND status <> 'cancelled' LIMIT 1`,
            hostId,
            kind,
            finishedAtMs,
          );
    return later !== undefined;
  }
}
