import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Finishes } from './ledger.ts';

/** Reads the finishes of each host from the database. The server must have ended. */
export async function finishesOnDisk(dataDir: string): Promise<ReadonlyMap<string, Finishes>> {
  const reader = new Worker(new URL('./disk.worker.ts', import.meta.url), {
    workerData: dataDir,
    // node:sqlite prints an experimental warning under Node 22.
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const [hosts] = await once(reader, 'message');
  return hosts;
}
