import { parentPort, workerData } from 'node:worker_threads';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { type JobWriterTask, STOP, WAIT } from './job-writers.ts';

const { buffer, jobs, repeat, signal } = workerData as JobWriterTask;
const words = new Int32Array(signal);
const writer = JobHistogram.attach(buffer).writer();
parentPort?.postMessage('ready');
Atomics.wait(words, 0, WAIT);

let rounds = 0;
do {
  for (const [kind, status, durationMs] of jobs) writer.observeJob(kind, status, durationMs);
  rounds++;
} while (repeat && Atomics.load(words, 0) !== STOP);
parentPort?.postMessage(rounds);
