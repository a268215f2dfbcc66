import type { JobKind } from '../metrics/jobs.ts';
import { JOB_ALERTS } from './alert-rules.ts';
import type { Alerts } from './alerts.ts';
import type { Changes } from './changes.ts';
import type { FinishVerdict, JobFinish, Request } from './operations.ts';
import type { Statements } from './statements.ts';

/** Jobs are kept this long after the last report: a finish that is repeated later would count again. */
const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
/** Of one host. Beyond that the oldest are forgotten, so that no host can fill the disk of the others. */
export const MAX_UNFINISHED = 10_000;
export const MAX_REMEMBERED = 100_000;
/** Jobs that one step of pruning deletes at the most. */
const PRUNE_STEP = 500;

interface JobCount {
  unfinished: number;
  all: number;
  /** When the youngest was recorded. The next one is not older, also if the system's clock was set back. */
  recordedAt: number;
}

/** The jobs of hosts that there are, and what their finishes mean for these. */
export class Jobs {
  readonly #statements: Statements;
  readonly #alerts: Alerts;
  readonly #onForgotten: (jobs: number) => void;
  /** How many jobs a host has, for hosts that reported since the start; counted in the database when it is not here. */
  readonly #counts = new Map<string, JobCount>();

  /** @param onForgotten told how many jobs were forgotten early because their host has too many */
  constructor(statements: Statements, alerts: Alerts, onForgotten: (jobs: number) => void) {
    this.#onForgotten = onForgotten;
    this.#statements = statements;
    this.#alerts = alerts;
  }

  start({ hostId, jobId, kind, startedAtMs }: Request<'startJob'>): 'recorded' {
    const count = this.#count(hostId);
    count.recordedAt = Math.max(Date.now(), count.recordedAt);
    const added = this.#statements.run(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      jobId,
      kind,
      startedAtMs,
      count.recordedAt,
    );
    count.unfinished += added;
    count.all += added;
    this.#forgetOldest(hostId, count);
    return 'recorded';
  }

  finish(finish: JobFinish, changes: Changes): FinishVerdict {
    const { hostId, jobId } = finish;
    const count = this.#count(hostId);
    const known = this.#statements.get<[JobKind, number, string | null]>(
      'SELECT kind, started_at, status FROM jobs WHERE host_id = ? AND job_id = ?',
      hostId,
      jobId,
    );
    if (known !== undefined && known[2] !== null) return { first: false };
    const [kind, startedAtMs] = known ?? [finish.kind, finish.startedAtMs];
    if (kind === undefined || startedAtMs === undefined) return 'unknown_job';
    count.recordedAt = Math.max(Date.now(), count.recordedAt);
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
      count.recordedAt,
    );
    if (known === undefined) count.all++;
    else count.unfinished--;
    this.#forgetOldest(hostId, count);
    this.#followUp(kind, finish, changes);
    return { first: true, kind, durationMs: finish.finishedAtMs - startedAtMs };
  }

  /**
   * Deletes a few of the jobs of the hosts behind `after` that are older than `JOBS_KEPT_MS`.
   * @returns the last host that is done, to go on from; undefined when all are
   */
  prune(now: number, after: string): string | undefined {
    const hosts = this.#statements.all<[string]>(
      `SELECT host_id FROM hosts WHERE host_id > ? ORDER BY host_id LIMIT ${PRUNE_STEP}`,
      after,
    );
    let done = after;
    let room = PRUNE_STEP;
    for (const [hostId] of hosts) {
      const deleted = this.#statements.run(
        `DELETE FROM jobs WHERE host_id = ?1 AND job_id IN
           (SELECT job_id FROM jobs WHERE host_id = ?1 AND recorded_at < ?2 LIMIT ?3)`,
        hostId,
        now - JOBS_KEPT_MS,
        room,
      );
      if (deleted > 0) this.#counts.delete(hostId);
      room -= deleted;
      if (room === 0) return done;
      done = hostId;
    }
    return hosts.length < PRUNE_STEP ? undefined : done;
  }

  /** What was counted may be wrong, since a transaction was rolled back: it is counted anew. */
  forgetCounts(): void {
    this.#counts.clear();
  }

  /** The host is removed. */
  forgetHost(hostId: string): void {
    this.#counts.delete(hostId);
  }

  #count(hostId: string): JobCount {
    const known = this.#counts.get(hostId);
    if (known !== undefined) return known;
    const [unfinished, all, recordedAt] = this.#statements.get<[number, number, number]>(
      `SELECT (SELECT count(*) FROM jobs WHERE host_id = ?1 AND status IS NULL),
              (SELECT count(*) FROM jobs WHERE host_id = ?1),
              (SELECT coalesce(max(recorded_at), 0) FROM jobs WHERE host_id = ?1)`,
      hostId,
    ) ?? [0, 0, 0];
    const count = { unfinished, all, recordedAt };
    this.#counts.set(hostId, count);
    return count;
  }

  #forgetOldest(hostId: string, count: JobCount): void {
    this.#delete(hostId, 'AND status IS NULL', count.unfinished - MAX_UNFINISHED, count);
    this.#delete(hostId, '', count.all - MAX_REMEMBERED, count);
  }

  #delete(hostId: string, which: '' | 'AND status IS NULL', excess: number, count: JobCount): void {
    if (excess <= 0) return;
    const deleted = this.#statements.all<[isUnfinished: number]>(
      `DELETE FROM jobs WHERE host_id = ?1 AND job_id IN
         (SELECT job_id FROM jobs WHERE host_id = ?1 ${which} ORDER BY recorded_at LIMIT ?2)
       RETURNING status IS NULL`,
      hostId,
      excess,
    );
    count.all -= deleted.length;
    this.#onForgotten(deleted.length);
    for (const [isUnfinished] of deleted) count.unfinished -= isUnfinished;
  }

  /**
   * What a finish means for its host. Agents report late what they could not report in time, so a host
   * shows the job that finished last, not the one that was reported last. Jobs that mean nothing, such as a
   * cancelled check, do not hide those before them.
   */
  #followUp(kind: JobKind, { hostId, status, finishedAtMs }: JobFinish, changes: Changes): void {
    const rule = JOB_ALERTS[kind];
    if (rule === undefined) return;
    const opens = rule.opensOn.includes(status);
    if (!opens && status !== 'succeeded') return;
    if (this.#hasLaterFinish(hostId, kind, finishedAtMs)) return;
    changes.rows.add(hostId);
    if (opens) this.#alerts.open(hostId, rule.alert, rule.severity, finishedAtMs, changes);
    else this.#alerts.resolve(hostId, rule.alert, changes);
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
