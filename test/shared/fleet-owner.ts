import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Host, REPO_STATUSES } from '../../src/contract/host.ts';
import { ulidOf } from '../support/ulid.ts';

/** Hosts that stay; they have the even indices. Their odd neighbours come and go one by one. */
export const RESIDENTS = 200;
/** Hosts behind them that all come and then all go, so that pages split, empty and are used again. */
export const GUESTS = 150;

export interface FleetOwnerTask {
  readonly buffer: SharedArrayBuffer;
  /** For each resident the number its row was last derived from, stored after it was written. */
  readonly progress: SharedArrayBuffer;
  /** One word; anything but 0 means stop. */
  readonly signal: SharedArrayBuffer;
}

/** Which host a row is and the number that every field of it comes from. */
export type Row = readonly [index: number, n: number];

/** All of a host follows from one number, its name and the length of its name too. */
export function hostOf(index: number, n: number): Host {
  return {
    hostId: ulidOf(index),
    host: `${index} at ${n}${'é"'.repeat(n % 50)}`,
    online: n % 2 === 0,
    ...(n % 5 === 0 ? {} : { lastBackup: { finishedAtMs: n * 1009, succeeded: n % 3 === 0 } }),
    ...(n % 7 === 0 ? {} : { repoSizeBytes: n * 4099 }),
    repoStatus: REPO_STATUSES[n % 3] ?? 'unknown',
    snapshotCount: n,
    openAlerts: { critical: n % 11, info: n % 13, warning: n % 17 },
  };
}

/** A thread that owns the fleet table on `buffer` and has begun to change it all the time. */
export async function startFleetOwner(
  buffer: SharedArrayBuffer,
): Promise<{ progress: Int32Array; stop(): Promise<Row[]> }> {
  const progress = new SharedArrayBuffer(RESIDENTS * 4);
  const signal = new SharedArrayBuffer(4);
  const workerData: FleetOwnerTask = { buffer, progress, signal };
  const worker = new Worker(new URL('./fleet-owner.worker.ts', import.meta.url), { workerData });
  await once(worker, 'message');
  return {
    progress: new Int32Array(progress),
    async stop() {
      Atomics.store(new Int32Array(signal), 0, 1);
      const [rows] = await once(worker, 'message');
      return rows;
    },
  };
}
