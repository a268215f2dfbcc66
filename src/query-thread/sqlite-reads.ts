import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { openAlerts } from '../contract/host-details.ts';
import { type LastJobRow, reportedJob, SQLITE_LAST_JOBS } from '../contract/last-jobs.ts';
import { READ_LIMIT_MS } from '../contract/queries.ts';
import { messageOf, RmError } from '../errors.ts';
import { silenceExperimentalWarnings } from '../platform/experimental-warnings.ts';
import type { HostHistory, Reads } from './reads.ts';

silenceExperimentalWarnings();

const RUNNING = 'SELECT kind, count(*) FROM jobs WHERE status IS NULL GROUP BY kind';
const ALERTS = 'SELECT kind, opened_at FROM alerts WHERE host_id = ?';

/**
 * Reads from SQLite on a second connection. With a write-ahead log, a reader and the writer do not wait for
 * each other. The database is opened at the first read, and again after a failure.
 */
export class SqliteReads implements Reads {
  readonly #file: string;
  #db: DatabaseSync | undefined;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'fleet.db');
  }

  async running(): Promise<ReadonlyMap<string, number>> {
    return this.#reading(() => new Map(this.#all<[string, number]>(RUNNING)));
  }

  async history(hostId: string): Promise<HostHistory> {
    return this.#reading(() => ({
      alerts: openAlerts(Object.fromEntries(this.#all<[string, number]>(ALERTS, hostId))),
      jobs: this.#all<LastJobRow>(SQLITE_LAST_JOBS, hostId).map(reportedJob),
    }));
  }

  async close(): Promise<void> {
    this.#forget();
  }

  /** Runs `work` in one transaction, so that all its reads see the same state. */
  #reading<T>(work: () => T): T {
    try {
      this.#open().exec('BEGIN');
      const result = work();
      this.#open().exec('COMMIT');
      return result;
    } catch (error) {
      this.#forget();
      throw new RmError('api_failed', `SQLite: ${messageOf(error)}`, { cause: error });
    }
  }

  #all<Row>(sql: string, ...values: string[]): Row[] {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#open().prepare(sql);
      statement.setReturnArrays(true);
      this.#prepared.set(sql, statement);
    }
    return statement.all(...values) as unknown as Row[];
  }

  #open(): DatabaseSync {
    this.#db ??= new DatabaseSync(this.#file, { readOnly: true, timeout: READ_LIMIT_MS });
    return this.#db;
  }

  #forget(): void {
    this.#prepared.clear();
    this.#db?.close();
    this.#db = undefined;
  }
}
