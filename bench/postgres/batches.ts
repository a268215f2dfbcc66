import type { Operation } from '../../src/contract/operations.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../src/store-thread/postgres/engine.ts';
import type { Session } from '../../src/store-thread/postgres/session.ts';
import { applyReports } from '../../src/store-thread/reports.ts';
import { jobTable } from '../support/jobs.ts';

const JOBS = jobTable();

export type Finish = Operation<'finishJob'>;

/** Finished jobs of random hosts, each with a job id of its own. */
export class Finishes {
  readonly #hostIds: readonly string[];
  readonly #prefix: string;
  #count = 0;

  /** @param prefix distinguishes the job ids of two writers */
  constructor(hostIds: readonly string[], prefix: string) {
    this.#hostIds = hostIds;
    this.#prefix = prefix;
  }

  next(count: number): Finish[] {
    return Array.from({ length: count }, () => {
      const n = ++this.#count;
      const { kind, status, ms } = JOBS[n % JOBS.length] ?? {
        kind: 'backup',
        status: 'failed',
        ms: 1,
      };
      const hostId = this.#hostIds[Math.floor(Math.random() * this.#hostIds.length)] ?? '';
      // Now, because a finish that is older than the last one of its host changes nothing of the host.
      const finishedAtMs = Date.now();
      const times = { startedAtMs: finishedAtMs - ms, finishedAtMs };
      return [
        'finishJob',
        { hostId, jobId: `${this.#prefix}-${n}`, kind, status, exitCode: 0, ...times },
      ];
    });
  }
}

export function openEngine(url: string): PostgresEngine {
  const shard = { index: 0, count: 1 };
  const serves = { shard, onSharedShard: () => {} };
  const engine = PostgresEngine.open(url, { serves, onForgottenJobs: () => {} });
  engine.startServing();
  return engine;
}

/** Stores the finishes as the store thread does: load, decide, write, commit. */
export function store(engine: PostgresEngine, finishes: readonly Finish[]): void {
  engine.transaction(() => applyReports(engine, finishes, new Changes()));
}

/** Inserts the same jobs into a table like `jobs`, and does nothing else. */
export function insertOnly(session: Session, finishes: readonly Finish[]): void {
  const jobs = finishes.map(([, job]) => job);
  session.transaction(() =>
    session.run(
      `INSERT INTO bare_jobs (host_id, job_id, kind, started_at, status, finished_at, exit_code, recorded_at)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[],
         $7::bigint[], $8::bigint[])`,
      jobs.map(({ hostId }) => hostId),
      jobs.map(({ jobId }) => jobId),
      jobs.map(({ kind }) => kind ?? ''),
      jobs.map(({ startedAtMs }) => startedAtMs ?? 0),
      jobs.map(({ status }) => status),
      jobs.map(({ finishedAtMs }) => finishedAtMs),
      jobs.map(() => 0),
      jobs.map(({ finishedAtMs }) => finishedAtMs),
    ),
  );
}
