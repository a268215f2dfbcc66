import type { JobKind } from '../contract/jobs.ts';
import type { HostRecord, JobRecord } from './rules/records.ts';

/** A row before and after a transaction. */
export interface Changed<Row> {
  /** Undefined for a new row. */
  readonly before: Row | undefined;
  readonly after: Row;
}

/** Identifies a job. Agents choose the job ids, so an id is unique only within its host. */
export interface JobName {
  readonly hostId: string;
  readonly jobId: string;
}

/** A job that a report names. A start contains the other two fields, and so do most finishes. */
export interface NamedJob extends JobName {
  readonly kind?: JobKind | undefined;
  readonly startedAtMs?: number | undefined;
}

/** The hosts and jobs that a batch of reports names, so that the engine can load their rows. */
export class Named {
  readonly hostIds = new Set<string>();
  readonly jobs: NamedJob[] = [];
}

/** The rows of one transaction: as the engine loaded them, and as the rules changed them. */
export class Rows {
  readonly #hosts = new Map<string, Changed<HostRecord>>();
  readonly #jobs = new Map<string, Changed<JobRecord>>();

  /** To be called by the engine for each row that it loads, as `addJob`. */
  addHost(host: HostRecord): void {
    this.#hosts.set(host.hostId, { before: host, after: host });
  }

  addJob(job: JobRecord): void {
    this.#jobs.set(jobKey(job.hostId, job.jobId), { before: job, after: job });
  }

  host(hostId: string): HostRecord | undefined {
    return this.#hosts.get(hostId)?.after;
  }

  job(hostId: string, jobId: string): JobRecord | undefined {
    return this.#jobs.get(jobKey(hostId, jobId))?.after;
  }

  setHost(host: HostRecord): void {
    this.#hosts.set(host.hostId, { before: this.#hosts.get(host.hostId)?.before, after: host });
  }

  setJob(job: JobRecord): void {
    const key = jobKey(job.hostId, job.jobId);
    this.#jobs.set(key, { before: this.#jobs.get(key)?.before, after: job });
  }

  changedHosts(): Changed<HostRecord>[] {
    return changed(this.#hosts);
  }

  /** New jobs come in the order of their reports, which becomes the order of the table. */
  changedJobs(): Changed<JobRecord>[] {
    return changed(this.#jobs);
  }
}

function changed<Row>(rows: ReadonlyMap<string, Changed<Row>>): Changed<Row>[] {
  return [...rows.values()].filter(({ before, after }) => before !== after);
}

/** The key of a job in a map. Unique without a separator, because all host ids have the same length. */
export function jobKey(hostId: string, jobId: string): string {
  return hostId + jobId;
}
