import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { Changed } from '../rows.ts';
import type { JobRecord } from '../rules/records.ts';
import type { SqlValue, Statements } from './statements.ts';

/** Limits per host. The oldest jobs beyond them are deleted, so that no host can fill the disk. */
export const MAX_UNFINISHED = 10_000;
export const MAX_REMEMBERED = 100_000;
/**
 * Number of jobs deleted in addition to the excess. Finding the oldest jobs of a host reads all of its
 * jobs, so it must not happen at each new job.
 */
const FORGET_AHEAD = 1_000;
/** Maximum number of jobs that one call of `forget` deletes. */
const FORGET_STEP = 500;

interface JobCount {
  unfinished: number;
  all: number;
}

type Row = [kind: JobKind, startedAt: number, status: JobStatus | null, finishedAt: number | null];

/** The table `jobs`, in the order in which the jobs were first reported. */
export class Jobs {
  readonly #statements: Statements;
  readonly #onForgotten: (jobs: number) => void;
  /** Number of jobs of each host that has reported since the start. A missing count is read from the database. */
  readonly #counts = new Map<string, JobCount>();

  /** @param onForgotten called with the number of jobs that were deleted because their host has too many */
  constructor(statements: Statements, onForgotten: (jobs: number) => void) {
    this.#statements = statements;
    this.#onForgotten = onForgotten;
  }

  /** Returns the columns of the job that the rules need. */
  get(hostId: string, jobId: string): JobRecord | undefined {
    const row = this.#statements.get<Row>(
      `SELECT kind, started_at, status, finished_at FROM jobs
       WHERE host_id = ? AND job_id = ?`,
      hostId,
      jobId,
    );
    if (row === undefined) return undefined;
    const [kind, startedAtMs, status, finishedAtMs] = row;
    const finish = status === null || finishedAtMs === null ? undefined : { status, finishedAtMs };
    return { hostId, jobId, kind, startedAtMs, finish };
  }

  write({ before, after }: Changed<JobRecord>): void {
    // Must be read before the job is written, or the job would be counted twice.
    const count = this.#count(after.hostId);
    if (before === undefined) {
      this.#insert(after);
      count.all++;
      if (after.finish === undefined) count.unfinished++;
    } else {
      this.#update(after);
      if (before.finish === undefined && after.finish !== undefined) count.unfinished--;
    }
    this.#forgetOldest(after.hostId, count);
  }

  /**
   * Deletes some of the jobs whose last report is older than `beforeMs`.
   * @returns whether there may be more
   */
  forget(beforeMs: number): boolean {
    const deleted = this.#statements.all<[string]>(
      `DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE recorded_at < ? LIMIT ${FORGET_STEP})
       RETURNING host_id`,
      beforeMs,
    );
    for (const [hostId] of deleted) this.#counts.delete(hostId);
    return deleted.length === FORGET_STEP;
  }

  /** To be called after a rollback. The counts include rows that were not written. */
  forgetCounts(): void {
    this.#counts.clear();
  }

  /** To be called when the host is removed. */
  forgetHost(hostId: string): void {
    this.#counts.delete(hostId);
  }

  #insert({ hostId, jobId, kind, startedAtMs, finish }: JobRecord): void {
    this.#statements.run(
      `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, exit_code, error,
         bytes_added, files_unreadable, snapshot_id, recorded_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      hostId,
      jobId,
      kind,
      startedAtMs,
      ...finishValues(finish),
      Date.now(),
    );
  }

  #update({ hostId, jobId, finish }: JobRecord): void {
    this.#statements.run(
      `UPDATE jobs SET status = ?, finished_at = ?, exit_code = ?, error = ?,
         bytes_added = ?, files_unreadable = ?, snapshot_id = ?, recorded_at = ?
       WHERE host_id = ? AND job_id = ?`,
      ...finishValues(finish),
      Date.now(),
      hostId,
      jobId,
    );
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
    if (unfinished > 0) this.#deleteOldest(hostId, 'AND status IS NULL', unfinished, count);
    const all = count.all - MAX_REMEMBERED;
    if (all > 0) this.#deleteOldest(hostId, '', all + FORGET_AHEAD, count);
  }

  #deleteOldest(
    hostId: string,
    filter: '' | 'AND status IS NULL',
    limit: number,
    count: JobCount,
  ): void {
    const deleted = this.#statements.all<[isUnfinished: number]>(
      `DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE host_id = ? ${filter} ORDER BY seq LIMIT ?)
       RETURNING status IS NULL`,
      hostId,
      limit,
    );
    count.all -= deleted.length;
    this.#onForgotten(deleted.length);
    for (const [isUnfinished] of deleted) count.unfinished -= isUnfinished;
  }
}

/** The values from `status` to `snapshot_id`, in the order of the columns. */
function finishValues(finish: JobRecord['finish']): SqlValue[] {
  return [
    finish?.status ?? null,
    finish?.finishedAtMs ?? null,
    finish?.exitCode ?? null,
    finish?.error ?? null,
    finish?.summary?.bytesAdded ?? null,
    finish?.summary?.filesUnreadable ?? null,
    finish?.summary?.snapshotId ?? null,
  ];
}
