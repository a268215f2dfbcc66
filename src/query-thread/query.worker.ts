import { parentPort, workerData } from 'node:worker_threads';
import type { Query, QueryAnswer, QueryReply, QueryRequest } from '../contract/queries.ts';
import { errorCode, messageOf } from '../errors.ts';
import { lowerThreadPriority } from '../platform/thread-priority.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { Queries } from './queries.ts';
import type { Reads } from './reads.ts';
import { Roster } from './roster.ts';

/** The `workerData` of the query thread. */
export interface QueryThreadData {
  /** The fleet tables, in the order of `Roster`. */
  readonly tables: readonly SharedArrayBuffer[];
  readonly dataDir: string;
  /** If it is set, the fleet is in this PostgreSQL, and not in `dataDir`. Contains the password. */
  readonly databaseUrl: string | undefined;
  readonly version: string;
  /** The buffer of the job histogram. */
  readonly jobs: SharedArrayBuffer;
}

lowerThreadPriority();

const { tables, dataDir, databaseUrl, version, jobs }: QueryThreadData = workerData;
const reads = await openReads();
const queries = new Queries(new Roster(tables), reads, JobHistogram.attach(jobs), version);
const encoder = new TextEncoder();

parentPort?.on('message', async (request: QueryRequest) => {
  if ('close' in request) {
    await reads.close();
    parentPort?.close();
    return;
  }
  const answer = await answerTo(request.query);
  const reply: QueryReply = { id: request.id, answer };
  parentPort?.postMessage(reply, 'json' in answer ? [answer.json.buffer] : []);
});

async function answerTo(query: Query): Promise<QueryAnswer> {
  try {
    const { content, lacks } = await queries.answer(query);
    return { json: encoder.encode(`${JSON.stringify(content)}\n`), lacks };
  } catch (error) {
    const code = errorCode(error);
    const message = messageOf(error);
    if (code === 'no_such_host' || code === 'api_too_late') return { failed: code, message };
    return { failed: 'api_failed', message };
  }
}

/** Only the driver that is needed is loaded. */
async function openReads(): Promise<Reads> {
  if (databaseUrl === undefined) {
    const { SqliteReads } = await import('./sqlite-reads.ts');
    return new SqliteReads(dataDir);
  }
  const { PostgresReads } = await import('./postgres-reads.ts');
  return new PostgresReads(databaseUrl);
}
