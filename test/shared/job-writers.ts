import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { JobKind, JobStatus } from '../../src/contract/jobs.ts';

export type Job = readonly [kind: JobKind, status: JobStatus, durationMs: number];

export interface JobWriterTask {
  readonly buffer: SharedArrayBuffer;
  readonly jobs: readonly Job[];
  /** Observe the jobs over and over until told to stop, instead of once. */
  readonly repeat: boolean;
  /** One word: WAIT, GO or STOP. */
  readonly signal: SharedArrayBuffer;
}

export const WAIT = 0;
export const GO = 1;
export const STOP = 2;

/** Threads that have attached to one histogram, claimed a shard each and wait for `go`. */
export interface JobWriters {
  go(): void;
  /** @returns how many times each thread observed all its jobs */
  stop(): Promise<number[]>;
}

/** One thread for each list of jobs. */
export async function startJobWriters(
  buffer: SharedArrayBuffer,
  jobLists: readonly (readonly Job[])[],
  { repeat }: { readonly repeat: boolean },
): Promise<JobWriters> {
  const signal = new SharedArrayBuffer(4);
  const words = new Int32Array(signal);
  const workers = jobLists.map((jobs) => {
    const workerData: JobWriterTask = { buffer, jobs, repeat, signal };
    return new Worker(new URL('./job-writers.worker.ts', import.meta.url), { workerData });
  });
  // Nobody goes before everybody is ready, so that the threads really write at the same time.
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const rounds = Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]));
  const tell = (what: number) => {
    Atomics.store(words, 0, what);
    Atomics.notify(words, 0);
  };
  return {
    go: () => tell(GO),
    stop: () => {
      tell(STOP);
      return rounds;
    },
  };
}
