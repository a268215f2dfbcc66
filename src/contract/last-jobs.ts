import type { JobKind, JobStatus } from './jobs.ts';

/** Number of jobs that the API and `hosts show` show of a host. */
export const LAST_JOBS = 20;

/** A job as it is shown. */
export interface ReportedJob {
  readonly jobId: string;
  readonly kind: JobKind;
  /** Undefined while it runs, like all that a finish contains. */
  readonly status: JobStatus | undefined;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number | undefined;
  readonly exitCode: number | undefined;
  readonly error: string | undefined;
  readonly bytesAdded: number | undefined;
  readonly filesUnreadable: number | undefined;
}

const COLUMNS = `job_id, kind, status, started_at, finished_at, exit_code, error, bytes_added,
  files_unreadable, recorded_at`;

/**
 * Number of jobs of a host, by their first reports, among which SQLite looks for the last ones. A host may have 100,000,
 * and unlike PostgreSQL, SQLite has no time limit for a statement.
 */
const MAX_READ_JOBS = 10_000;

/*
 * The last jobs of a host, newest first, in the SQL of each engine. A time ahead of the time of receipt does
 * not count: the agent's clock was wrong.
 */
export const SQLITE_LAST_JOBS = `SELECT ${COLUMNS} FROM jobs WHERE seq IN
    (SELECT seq FROM jobs WHERE host_id = ? ORDER BY seq DESC LIMIT ${MAX_READ_JOBS})
  ORDER BY min(coalesce(finished_at, started_at), recorded_at) DESC, recorded_at DESC, job_id DESC
  LIMIT ${LAST_JOBS}`;
export const POSTGRES_LAST_JOBS = `SELECT ${COLUMNS} FROM jobs WHERE host_id = $1
  ORDER BY least(coalesce(finished_at, started_at), recorded_at) DESC, recorded_at DESC, job_id DESC
  LIMIT ${LAST_JOBS}`;

/** A row of one of these statements. */
export type LastJobRow = readonly [
  jobId: string,
  kind: JobKind,
  status: JobStatus | null,
  startedAtMs: number,
  finishedAtMs: number | null,
  exitCode: number | null,
  error: string | null,
  bytesAdded: number | null,
  filesUnreadable: number | null,
  recordedAtMs: number,
];

/** How far an agent's clock may be ahead of the server's. A time further ahead is not shown. */
export const MAX_AHEAD_MS = 5 * 60 * 1_000;

/**
 * Converts a row. If the end of the job is too far ahead of the time of receipt, it is shown as that time, and
 * the start so that the duration stays the same.
 */
export function reportedJob(row: LastJobRow): ReportedJob {
  const [jobId, kind, status, startedAt, finishedAt, exitCode, error, added, unreadable, recorded] =
    row;
  const aheadMs = Math.max(0, (finishedAt ?? startedAt) - recorded);
  const shiftMs = aheadMs > MAX_AHEAD_MS ? aheadMs : 0;
  return {
    jobId,
    kind,
    status: status ?? undefined,
    startedAtMs: startedAt - shiftMs,
    finishedAtMs: finishedAt === null ? undefined : finishedAt - shiftMs,
    exitCode: exitCode ?? undefined,
    error: error ?? undefined,
    bytesAdded: added ?? undefined,
    filesUnreadable: unreadable ?? undefined,
  };
}
