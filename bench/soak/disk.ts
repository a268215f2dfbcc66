import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Finishes } from './ledger.ts';

/** What the database says of each host once the server has ended. */
export async function finishesOnDisk(dataDir: string): Promise<ReadonlyMap<string, Finishes>> {
  const reader = new Worker(new URL('./disk.worker.ts', import.meta.url), {
    workerData: dataDir,
    // node:sqlite is marked experimental on Node 22.
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const [hosts] = await once(reader, 'message');
  return hosts;
}
