import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { FinishVerdict, JobFinish, Request } from '../../contract/operations.ts';
import type { Changes } from '../changes.ts';
import { JOB_ALERTS } from '../rules/alert-rules.ts';
import type { Alerts } from './alerts.ts';
import type { Statements } from './statements.ts';

/** Jobs are kept this long after the last report: a finish that is repeated later would count again. */
const JOBS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
/** Of one host. Beyond that the oldest are forgotten, so that no host can fill the disk of the others. */
export const MAX_UNFINISHED = 10_000;
export const MAX_REMEMBERED = 100_000;
/** A host with too many jobs loses this many more, since finding the oldest takes a look at all of them. */
const FORGET_AHEAD = 1_000;
/** Jobs that one step of pruning deletes at the most. */
const PRUNE_STEP = 500;

interface JobCount {
  unfinished: number;
  all: number;
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
    const added = this.#statements.run(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, recorded_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      jobId,
      kind,
      startedAtMs,
      Date.now(),
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
    if (known === undefined) count.all++;
    else count.unfinished--;
    this.#forgetOldest(hostId, count);
    this.#followUp(kind, finish, changes);
    return { first: true, kind, durationMs: finish.finishedAtMs - startedAtMs };
  }

  /** Deletes a few of the jobs that are older than `JOBS_KEPT_MS`; @returns whether there may be more */
  prune(now: number): boolean {
    const deleted = this.#statements.all<[string]>(
      `DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE recorded_at < ? LIMIT ${PRUNE_STEP})
       RETURNING host_id`,
      now - JOBS_KEPT_MS,
    );
    for (const [hostId] of deleted) this.#counts.delete(hostId);
    return deleted.length === PRUNE_STEP;
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
    const [unfinished, all] = this.#statements.get<[number, number]>(
      `SELECT (SELECT count(*) FROM jobs WHERE host_id = ?1 AND status IS NULL),
              (SELECT count(*) FROM jobs WHERE host_id = ?1)`,
      hostId,
    ) ?? [0, 0];
    const count = { unfinished, all };
    this.#counts.set(hostId, count);
    return count;
  }

  #forgetOldest(hostId: string, count: JobCount): void {
    const unfinished = count.unfinished - MAX_UNFINISHED;
    if (unfinished > 0) this.#delete(hostId, 'AND status IS NULL', unfinished, count);
    const all = count.all - MAX_REMEMBERED;
    if (all > 0) this.#delete(hostId, '', all + FORGET_AHEAD, count);
  }

  #delete(hostId: string, which: '' | 'AND status IS NULL', oldest: number, count: JobCount): void {
    const deleted = this.#statements.all<[isUnfinished: number]>(
      `DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE host_id = ? ${which} ORDER BY seq LIMIT ?)
       RETURNING status IS NULL`,
      hostId,
      oldest,
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
    if (!this.#isLast(kind, hostId, status, finishedAtMs)) return;
    changes.rows.add(hostId);
    if (opens) this.#alerts.open(hostId, rule.alert, rule.severity, finishedAtMs, changes);
    else this.#alerts.resolve(hostId, rule.alert, changes);
    if (kind === 'init') {
      this.#statements.run(
        'UPDATE hosts SET repo_status = ? WHERE host_id = ?',
        status === 'succeeded' ? 'ready' : 'init_failed',
        hostId,
      );
    }
  }

  /** Notes the finish, unless a job of its kind has finished later. */
  #isLast(kind: JobKind, hostId: string, status: JobStatus, finishedAtMs: number): boolean {
    const noted =
      kind === 'backup'
        ? this.#statements.run(
            `UPDATE hosts SET last_backup_at = ?1, last_backup_ok = ?2
             WHERE host_id = ?3 AND (last_backup_at IS NULL OR last_backup_at <= ?1)`,
            finishedAtMs,
            status === 'succeeded' ? 1 : 0,
            hostId,
          )
        : this.#statements.run(
            `INSERT INTO last_finishes (host_id, kind, finished_at) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET finished_at = excluded.finished_at
             WHERE finished_at <= excluded.finished_at`,
            hostId,
            kind,
            finishedAtMs,
          );
    return noted > 0;
  }
}
