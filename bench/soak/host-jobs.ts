import { conflictWith, finishOf, type Job, nextJob, repeatOf, startOf } from './reports.ts';

/** Maximum number of jobs that are started and not finished. */
const MAX_RUNNING = 5;
const MAX_REPEATABLE = 16;

export interface Report {
  readonly type: 'job.started' | 'job.finished' | 'repo.stats';
  readonly payload: object;
  /** Set if the report is a first finish, which counts; undefined for a repeated one. */
  readonly finished?: Job;
  /** Whether the server must answer with `job_conflict` instead of an acknowledgement. */
  readonly conflicts?: true;
}

/** Creates the jobs of one host. */
export class HostJobs {
  readonly #running: Job[] = [];
  readonly #repeatable: Job[] = [];
  #jobs = 0;

  /**
   * Returns a finish, and sometimes the start of another job. The start of the finished job may or
   * may not have been reported.
   */
  next(): Report[] {
    const reports: Report[] = [];
    if (Math.random() < 0.5) {
      const job = nextJob(this.#jobs++);
      this.#running.push(job);
      reports.push({ type: 'job.started', payload: startOf(job) });
    }
    const isLate = this.#running.length > MAX_RUNNING;
    const announced = isLate || Math.random() < 0.4 ? this.#running.shift() : undefined;
    const finished = announced ?? nextJob(this.#jobs++);
    const payload = finishOf(finished, announced !== undefined);
    reports.push({ type: 'job.finished', payload, finished });
    return reports;
  }

  acknowledged(job: Job): void {
    this.#repeatable[job.number % MAX_REPEATABLE] = job;
  }

  /**
   * Returns an acknowledged finish again, as from an agent that has lost the acknowledgement, or another job under its
   * id.
   */
  repeat(): Report | undefined {
    const job = this.#repeatable[Math.floor(Math.random() * this.#repeatable.length)];
    if (job === undefined) return undefined;
    const type = 'job.finished';
    return Math.random() < 0.5
      ? { type, payload: repeatOf(job) }
      : { type, payload: conflictWith(job), conflicts: true };
  }
}
