import { REPO_STATUSES } from '../../src/contract/host.ts';
import { JOB_STATUSES, type JobStatus, seriesIndex } from '../../src/contract/jobs.ts';
import { type FinishedJob, jobTable } from '../support/jobs.ts';
import { pick } from '../support/random.ts';

/** One job of a host, as its agent reports it. */
export interface Job extends FinishedJob {
  /** Number of the job within its host. */
  readonly number: number;
  readonly finishedAt: number;
}

const { random } = Math;
const table = jobTable();
const AN_HOUR_MS = 3_600_000;
/** Longer than the part of an error that the server keeps. */
const LONG_ERROR = 'Fatal: unable to open repository: ключ 🔑 not found\n'.repeat(150);

/**
 * Creates a job of a random kind and status that finished within the last hour: reports arrive late
 * and in any order.
 */
export function nextJob(number: number): Job {
  const { kind, status, ms } = pick(random, table as [FinishedJob, ...FinishedJob[]]);
  return { number, kind, status, ms, finishedAt: Date.now() - Math.floor(random() * AN_HOUR_MS) };
}

/** The series in which the job counts. */
export function seriesOf({ kind, status }: Job): number {
  return seriesIndex(kind, status);
}

export function jobId(number: number): string {
  return `job-${number}`;
}

/** The number in a job id; NaN if the soak did not create that id. */
export function jobNumber(id: string): number {
  return Number(/^job-(\d+)$/.exec(id)?.[1] ?? Number.NaN);
}

export function startOf(job: Job): object {
  return { job_id: jobId(job.number), ...announcement(job) };
}

/** @param announced whether the start was reported, so that the server knows kind and start */
export function finishOf(job: Job, announced: boolean): object {
  return {
    job_id: jobId(job.number),
    status: job.status,
    finished_at: new Date(job.finishedAt).toISOString(),
    ...(!announced && announcement(job)),
    ...(random() < 0.5 && { exit_code: job.status === 'succeeded' ? 0 : 1 }),
    ...(job.status === 'failed' && { error: errorText() }),
  };
}

/** The finish of the same job again, with or without kind and start. The server acknowledges it and does not count it. */
export function repeatOf(job: Job): object {
  return finishOf(job, random() < 0.5);
}

/** A finish of another job under the same id, which the server must refuse. */
export function conflictWith(job: Job): object {
  const others = JOB_STATUSES.filter((status) => status !== job.status);
  return finishOf({ ...job, status: pick(random, others as [JobStatus, ...JobStatus[]]) }, false);
}

export function repoStats(): object {
  const stats = {
    total_size_bytes: Math.floor(random() * 1e13),
    snapshot_count: Math.floor(random() * 1_000),
    repo_status: pick(random, REPO_STATUSES),
  };
  return Object.fromEntries(Object.entries(stats).filter(() => random() < 0.6));
}

function announcement({ kind, ms, finishedAt }: Job): object {
  return { kind, started_at: new Date(finishedAt - ms).toISOString() };
}

function errorText(): string {
  return random() < 0.01 ? LONG_ERROR : 'exit status 3: at least one source file could not be read';
}
