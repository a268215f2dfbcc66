import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../connection-thread/connection.ts';
import { openAlerts } from '../contract/host-details.ts';
import { type LastJobRow, POSTGRES_LAST_JOBS, reportedJob } from '../contract/last-jobs.ts';
import { READ_LIMIT_MS } from '../contract/queries.ts';
import type { Statement, StatementResult } from '../contract/statements.ts';
import { RmError } from '../errors.ts';
import { parseDatabaseUrl } from '../platform/database-url.ts';
import type { HostHistory, Reads } from './reads.ts';

/** As in the store, plans must not depend on statistics, because a table that has just grown has none. */
const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  SET LOCAL statement_timeout = ${READ_LIMIT_MS};
  SET LOCAL idle_in_transaction_session_timeout = ${READ_LIMIT_MS};
  SET LOCAL enable_seqscan = off`;
const RUNNING = 'SELECT kind, count(*) FROM jobs WHERE status IS NULL GROUP BY kind';
const ALERTS = 'SELECT alerts FROM hosts WHERE host_id = $1';
/** If the server does not cancel a statement in time, the connection is given up. */
const ANSWER_LIMIT_MS = READ_LIMIT_MS + 500;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const CANCELED = '57014';

/**
 * Reads from PostgreSQL on a connection of its own, one transaction at a time. A read that comes while there is
 * no connection waits for the attempt to connect that is running.
 */
export class PostgresReads implements Reads {
  readonly #connection: Connection;
  /** Number of the current connection; 0 while there is none. */
  #number = 0;
  #unreachable: string | undefined;
  #wake: () => void = () => {};
  #connecting: Promise<void> | undefined;
  /** The last read that was started. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param databaseUrl as in the settings, so it is valid */
  constructor(databaseUrl: string) {
    this.#connection = new Connection(parseDatabaseUrl(databaseUrl)?.addresses ?? [], {
      onConnected: (number) => {
        this.#number = number;
        this.#unreachable = undefined;
        this.#wake();
      },
      onDisconnected: () => {
        this.#number = 0;
      },
      onUnreachable: (why) => {
        this.#unreachable = why;
        this.#wake();
      },
    });
    this.#connection.open();
  }

  async running(): Promise<ReadonlyMap<string, number>> {
    const [running] = await this.#read([{ text: RUNNING }]);
    return new Map(rowsOf<[string, number]>(running));
  }

  async history(hostId: string): Promise<HostHistory> {
    const values = [hostId];
    const [alerts, jobs] = await this.#read([
      { text: ALERTS, values },
      { text: POSTGRES_LAST_JOBS, values },
    ]);
    const [[json] = ['{}']] = rowsOf<[string]>(alerts);
    return {
      alerts: openAlerts(JSON.parse(json)),
      jobs: rowsOf<LastJobRow>(jobs).map(reportedJob),
    };
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** A read waits for the previous one, so that the time limit of one does not include another. */
  #read(statements: readonly Statement[]): Promise<readonly StatementResult[]> {
    const deadline = performance.now() + ANSWER_LIMIT_MS;
    const read = this.#last.then(() => this.#readNow(statements, deadline));
    this.#last = read.catch(() => {});
    return read;
  }

  async #readNow(
    statements: readonly Statement[],
    deadline: number,
  ): Promise<readonly StatementResult[]> {
    if (performance.now() > deadline) throw tooLate('earlier reads of the database took too long');
    await this.#connected(deadline);
    const number = this.#number;
    if (number === 0) {
      throw new RmError('api_failed', `PostgreSQL: ${this.#unreachable ?? 'no connection'}`);
    }
    let isTooLate = false;
    const timer = setTimeout(
      () => {
        isTooLate = true;
        this.#connection.abort(number);
      },
      Math.max(0, deadline - performance.now()),
    );
    const { results, error } = await this.#connection.run(number, [
      { text: BEGIN },
      ...statements,
      { text: 'COMMIT' },
    ]);
    clearTimeout(timer);
    if (error === undefined) return results.slice(1, -1);
    if (isTooLate || error.state === CANCELED) throw tooLate(`PostgreSQL: ${error.message}`);
    throw new RmError('api_failed', `PostgreSQL: ${error.message}`);
  }

  /**
   * Waits until there is a connection, or no server was reachable.
   * @throws RmError `api_too_late` if neither is the case in time; the connection thread goes on trying
   */
  async #connected(deadline: number): Promise<void> {
    if (this.#number !== 0 || this.#unreachable !== undefined) return;
    this.#connecting ??= new Promise<void>((resolve) => {
      this.#wake = resolve;
    }).finally(() => {
      this.#connecting = undefined;
    });
    const limit = new AbortController();
    const tooLong = sleep(Math.max(0, deadline - performance.now()), 'too long', limit).catch(
      () => '',
    );
    const first = await Promise.race([this.#connecting, tooLong]);
    limit.abort();
    if (first === 'too long') throw tooLate('PostgreSQL: no connection yet');
  }
}

function rowsOf<Row>(result: StatementResult | undefined): Row[] {
  return (result?.rows ?? []) as unknown as Row[];
}

function tooLate(why: string): RmError {
  return new RmError('api_too_late', why);
}
