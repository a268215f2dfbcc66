import { finishOf, type Job, nextJob, repeatOf, startOf } from './reports.ts';

/** Jobs that are announced and not finished yet. */
const MAX_RUNNING = 5;
const MAX_REPEATABLE = 16;

export interface Report {
  readonly type: 'job.started' | 'job.finished' | 'repo.stats';
  readonly payload: object;
  /** Of a finish that counts, as opposed to a repeated one. */
  readonly finished?: Job;
}

/** The jobs of one host, one after the other. */
export class HostJobs {
  readonly #running: Job[] = [];
  readonly #repeatable: Job[] = [];
  #jobs = 0;

  /** The finish of a job that was announced or not, and now and then the announcement of another one. */
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

  /** An acknowledged finish once more, as of an agent that has lost the acknowledgement. */
  repeat(): Report | undefined {
    const job = this.#repeatable[Math.floor(Math.random() * this.#repeatable.length)];
    return job && { type: 'job.finished', payload: repeatOf(job) };
  }
}
