import { parentPort, workerData } from 'node:worker_threads';
import { median } from '../support/samples.ts';
import { observers } from './observers.ts';
import type { Stretch, ThreadData } from './threads.ts';

const data: ThreadData = workerData;
const gate = new Int32Array(data.gate);
const own = observers(data);

parentPort?.on('message', ({ observer, ms }: Stretch) => {
  const pass = own[observer]?.pass ?? (() => {});
  meetTheOthers();
  const passes: number[] = [];
  const startedAt = performance.now();
  for (let at = startedAt; at - startedAt < ms; ) {
    pass();
    const now = performance.now();
    passes.push(now - at);
    at = now;
  }
  // Not the mean, which would depend on how often the kernel took the core away.
  parentPort?.postMessage(median(passes));
});
parentPort?.postMessage('ready');

/** Spins, because waking up a thread takes too long. */
function meetTheOthers(): void {
  const arrived = Atomics.add(gate, 0, 1);
  const all = arrived - (arrived % data.threads) + data.threads;
  while (Atomics.load(gate, 0) < all);
}
