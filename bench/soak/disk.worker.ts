import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { isJobKind, isJobStatus, seriesIndex } from '../../src/contract/jobs.ts';
import { jobNumber } from './reports.ts';

const dataDir: string = workerData;
const db = new DatabaseSync(join(dataDir, 'fleet.db'), { readOnly: true });
const hosts = new Map<string, (number | undefined)[]>();
for (const { host_id } of db.prepare('SELECT host_id FROM hosts').iterate()) {
  hosts.set(String(host_id), []);
}
const finished = 'SELECT host_id, job_id, kind, status FROM jobs WHERE status IS NOT NULL';
for (const row of db.prepare(finished).iterate()) {
  const [host = '', job = '', kind = '', status = ''] = Object.values(row).map(String);
  const number = jobNumber(job);
  if (Number.isNaN(number) || !isJobKind(kind) || !isJobStatus(status)) {
    throw new Error(`the database contains a job that was never reported: ${JSON.stringify(row)}`);
  }
  const finishes = hosts.get(host) ?? [];
  finishes[number] = seriesIndex(kind, status);
  hosts.set(host, finishes);
}
db.close();
parentPort?.postMessage(hosts);
