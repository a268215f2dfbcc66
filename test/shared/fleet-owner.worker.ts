import { parentPort, workerData } from 'node:worker_threads';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { type FleetOwnerTask, GUESTS, hostOf, RESIDENTS, type Row } from './fleet-owner.ts';

const task = workerData as FleetOwnerTask;
const signal = new Int32Array(task.signal);
const progress = new Int32Array(task.progress);
const table = new FleetTable(task.buffer);
const present = new Map<number, number>();
let n = 0;

for (let resident = 0; resident < RESIDENTS; resident++) put(resident * 2);
parentPort?.postMessage('ready');

for (let random = 1; Atomics.load(signal, 0) === 0; ) {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  const index = (random >>> 8) % (RESIDENTS * 2);
  if (index % 2 === 1 && present.has(index)) remove(index);
  else put(index);
  if (n % 500 === 0) passGuests();
}
const rows: Row[] = [...present].sort(([a], [b]) => a - b);
parentPort?.postMessage(rows);

function passGuests(): void {
  const first = RESIDENTS * 2;
  for (let guest = 0; guest < GUESTS; guest++) put(first + guest);
  for (let guest = 0; guest < GUESTS; guest++) remove(first + guest);
}

function put(index: number): void {
  n++;
  table.upsert(hostOf(index, n));
  present.set(index, n);
  if (index < RESIDENTS * 2 && index % 2 === 0) Atomics.store(progress, index / 2, n);
}

function remove(index: number): void {
  table.remove(hostOf(index, 0).hostId);
  present.delete(index);
}
