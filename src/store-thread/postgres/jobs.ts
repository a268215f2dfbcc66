import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { SqlScalar, Statement } from '../../contract/statements.ts';
import type { Changed, JobName } from '../rows.ts';
import type { JobEnd, JobRecord } from '../rules/records.ts';
import type { Session } from './session.ts';
import { storable } from './text.ts';

/** Limits per host. The oldest jobs beyond them are deleted, so that no host can fill the disk. */
export const MAX_UNFINISHED = 10_000;
export const MAX_REMEMBERED = 100_000;
/**
 * Number of jobs deleted beyond the excess. Finding the oldest jobs of a host reads all of them, so it
 * must not happen at each new job.
 */
const FORGET_AHEAD = 1_000;
/**
 * The jobs of a host are counted after so many new jobs that this instance has stored, or sooner if fewer are left until
 * the limit. Until then, other instances and a restart can add as many beyond the limit. To keep the count in the
 * database would cost more: each new job would update the row of its host.
 */
const COUNT_AFTER = 1_000;
/** The same for a host whose jobs were not counted since the start. */
const FIRST_COUNT_AFTER = 100;
/** A transaction that counts more hosts could take too long. The others are counted with their next job. */
const COUNTED_PER_BATCH = 10;
/** Maximum number of jobs that one call of `forget` deletes. */
const FORGET_STEP = 500;

type Row = [
  place: number,
  kind: JobKind,
  startedAt: number,
  status: JobStatus | null,
  finishedAt: number | null,
];

/** The columns of the end of a job, with their types. */
const END = [
  ['status', 'text', (end) => end?.status],
  ['finished_at', 'bigint', (end) => end?.finishedAtMs],
  ['exit_code', 'bigint', (end) => end?.exitCode],
  ['error', 'text', (end) => storable(end?.error)],
  ['bytes_added', 'bigint', (end) => end?.summary?.bytesAdded],
  ['files_unreadable', 'bigint', (end) => end?.summary?.filesUnreadable],
  ['snapshot_id', 'text', (end) => end?.summary?.snapshotId],
] as const satisfies readonly (readonly [
  column: string,
  type: string,
  value: (end: JobEnd | undefined) => SqlScalar | undefined,
])[];
const END_COLUMNS = END.map(([column]) => column).join(', ');

/** The table `jobs`. A transaction that writes a job holds the lock of its host. */
export class Jobs {
  readonly #session: Session;
  readonly #instance: number | null;
  readonly #onForgotten: (jobs: number) => void;
  /** See `#leftOf`, for hosts that have reported new jobs since the start. */
  readonly #left = new Map<string, number>();

  /** @param onForgotten called with the number of jobs that were deleted because their host has too many */
  constructor(session: Session, instance: number | undefined, onForgotten: (jobs: number) => void) {
    this.#session = session;
    this.#instance = instance ?? null;
    this.#onForgotten = onForgotten;
  }

  /** The statement that returns the columns of these jobs that the rules need, for `record`. */
  select(named: readonly JobName[]): Statement {
    return {
      text: `SELECT n.place, j.kind, j.started_at, j.status, j.finished_at
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (host_id, job_id, place)
        JOIN jobs j ON j.host_id = n.host_id AND j.job_id = n.job_id`,
      values: [named.map(({ hostId }) => hostId), named.map(({ jobId }) => storable(jobId))],
    };
  }

  /** The statement that returns the places of those of these jobs that this instance has finished, from 1. */
  selectOwnFinished(named: readonly JobName[]): Statement {
    return {
      text: `SELECT n.place
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (host_id, job_id, place)
        JOIN jobs j ON j.host_id = n.host_id AND j.job_id = n.job_id
        WHERE j.status IS NOT NULL AND j.instance = $3::bigint`,
      values: [
        named.map(({ hostId }) => hostId),
        named.map(({ jobId }) => storable(jobId)),
        this.#instance,
      ],
    };
  }

  /**
   * Converts a row of `select`.
   * @param named the argument of `select`
   */
  record(columns: readonly unknown[], named: readonly JobName[]): JobRecord | undefined {
    const [place, kind, startedAtMs, status, finishedAtMs] = columns as Row;
    const name = named[place - 1];
    const finish = status === null || finishedAtMs === null ? undefined : { status, finishedAtMs };
    return name && { hostId: name.hostId, jobId: name.jobId, kind, startedAtMs, finish };
  }

  /** The statements that write these jobs. */
  write(changed: readonly Changed<JobRecord>[], atMs: number): Statement[] {
    const added = changed.filter(({ before }) => before === undefined).map(({ after }) => after);
    const updated = changed.filter(({ before }) => before !== undefined).map(({ after }) => after);
    return [
      ...(added.length > 0 ? [insert(added, atMs, this.#instance)] : []),
      ...(updated.length > 0 ? [update(updated, atMs, this.#instance)] : []),
    ];
  }

  /** Deletes the oldest jobs of hosts that have too many. To be called after these jobs are written. */
  limit(changed: readonly Changed<JobRecord>[]): void {
    const due = new Set<string>();
    for (const { before, after } of changed) {
      if (before !== undefined) continue;
      const { hostId } = after;
      const left = this.#leftOf(hostId) - 1;
      this.#left.set(hostId, left);
      if (left <= 0) due.add(hostId);
    }
    const mostUrgent = [...due].sort((a, b) => this.#leftOf(a) - this.#leftOf(b));
    for (const hostId of mostUrgent.slice(0, COUNTED_PER_BATCH)) this.#limitHost(hostId);
  }

  /** Number of new jobs of the host after which its jobs are counted. */
  #leftOf(hostId: string): number {
    return this.#left.get(hostId) ?? FIRST_COUNT_AFTER;
  }

  /** To be called when the host is removed. */
  forgetHost(hostId: string): void {
    this.#left.delete(hostId);
  }

  /**
   * Deletes some of the jobs whose last report is older than `beforeMs`.
   * @returns whether there may be more
   */
  forget(beforeMs: number): boolean {
    const { count } = this.#session.run(
      `DELETE FROM jobs WHERE (host_id, job_id) IN (
         SELECT host_id, job_id FROM jobs WHERE recorded_at < $1
         ORDER BY recorded_at LIMIT ${FORGET_STEP} FOR UPDATE SKIP LOCKED)`,
      beforeMs,
    );
    return count === FORGET_STEP;
  }

  #limitHost(hostId: string): void {
    const [[all, unfinished] = [0, 0]] = this.#session.run(
      'SELECT count(*), count(*) FILTER (WHERE status IS NULL) FROM jobs WHERE host_id = $1',
      hostId,
    ).rows as [number, number][];
    const tooManyUnfinished = Math.max(0, unfinished - MAX_UNFINISHED);
    let deleted = 0;
    if (tooManyUnfinished > 0) {
      deleted += this.#deleteOldest(hostId, 'AND status IS NULL', tooManyUnfinished);
    }
    if (all - deleted > MAX_REMEMBERED) {
      deleted += this.#deleteOldest(hostId, '', all - deleted - MAX_REMEMBERED + FORGET_AHEAD);
    }
    if (deleted > 0) this.#onForgotten(deleted);
    const room = Math.min(
      MAX_REMEMBERED - (all - deleted),
      MAX_UNFINISHED - (unfinished - tooManyUnfinished),
    );
    this.#left.set(hostId, Math.min(room + 1, COUNT_AFTER));
  }

  #deleteOldest(hostId: string, filter: '' | 'AND status IS NULL', limit: number): number {
    return this.#session.run(
      `DELETE FROM jobs WHERE host_id = $1 AND job_id IN (
         SELECT job_id FROM jobs WHERE host_id = $1 ${filter} ORDER BY recorded_at, job_id LIMIT $2)`,
      hostId,
      limit,
    ).count;
  }
}

/** A column in which no job has a value is not written: most jobs have no error. */
function insert(jobs: readonly JobRecord[], atMs: number, instance: number | null): Statement {
  const end = END.filter(([, , value]) => jobs.some(({ finish }) => value(finish) !== undefined));
  const columns = ['host_id', 'job_id', 'kind', 'started_at', ...end.map(([column]) => column)];
  const types = end.map(([, type], index) => `$${index + 7}::${type}[]`);
  const arrays = ['$1::text[]', '$2::text[]', '$3::text[]', '$4::bigint[]', ...types];
  return {
    text: `INSERT INTO jobs (recorded_at, instance, ${columns.join(', ')})
      SELECT $5::bigint, $6::bigint, n.* FROM unnest(${arrays.join(', ')}) AS n (${columns.join(', ')})`,
    values: [
      jobs.map(({ hostId }) => hostId),
      jobs.map(({ jobId }) => storable(jobId)),
      jobs.map(({ kind }) => kind),
      jobs.map(({ startedAtMs }) => startedAtMs),
      atMs,
      instance,
      ...endValues(jobs, end),
    ],
  };
}

function update(jobs: readonly JobRecord[], atMs: number, instance: number | null): Statement {
  const types = END.map(([, type], index) => `$${index + 5}::${type}[]`);
  return {
    text: `UPDATE jobs j SET ${END.map(([column]) => `${column} = n.${column}`).join(', ')},
        recorded_at = $3::bigint, instance = $4::bigint
      FROM unnest($1::text[], $2::text[], ${types.join(', ')}) AS n (host_id, job_id, ${END_COLUMNS})
      WHERE j.host_id = n.host_id AND j.job_id = n.job_id`,
    values: [
      jobs.map(({ hostId }) => hostId),
      jobs.map(({ jobId }) => storable(jobId)),
      atMs,
      instance,
      ...endValues(jobs, END),
    ],
  };
}

function endValues(
  jobs: readonly JobRecord[],
  columns: readonly (typeof END)[number][],
): SqlScalar[][] {
  return columns.map(([, , value]) => jobs.map(({ finish }) => value(finish) ?? null));
}
