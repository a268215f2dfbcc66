import type { SqlValue, Statement, StatementResult } from '../../contract/statements.ts';
import { Bridge } from './bridge.ts';
import { DatabaseError } from './database-error.ts';

/** How long a transaction may take, so that a hanging statement does not block the store thread. */
const TRANSACTION_LIMIT_MS = 3_000;
/** How long the server lets one statement run. It is shorter, so that the server's own message is logged. */
const STATEMENT_LIMIT_MS = 2_500;
/** How long the server keeps the locks of an instance that was stopped within a transaction. */
const IDLE_LIMIT_MS = 3_000;
/** How long a start waits for a connection, for each server: longer than one server may take to accept it. */
const START_LIMIT_PER_SERVER_MS = 2_500;
const MIN_START_LIMIT_MS = 10_000;

/**
 * Settings of one transaction. They are local to it, so that they also work behind pgbouncer in
 * transaction mode. Every statement of a batch finds its rows by an index. The plans must not depend on
 * statistics, because a table that has just grown has none.
 */
const BEGIN = `BEGIN;
  SET LOCAL statement_timeout = ${STATEMENT_LIMIT_MS};
  SET LOCAL idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS};
  SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
  SELECT set_config('synchronous_commit', 'on', true)
  WHERE current_setting('synchronous_commit') IN ('off', 'local')`;
/** All reads of it see the same state. */
const BEGIN_READING = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  SET LOCAL statement_timeout = ${STATEMENT_LIMIT_MS}`;
/**
 * Without a time limit at the server. If a limit were exceeded while the commit waits for a synchronous
 * standby, the server would answer that the transaction is committed, although the standby does not have it.
 */
const COMMIT = 'SET LOCAL statement_timeout = 0; COMMIT';

/** First number of the advisory locks of `Session.writeAs`. They have two, the lock of a migration has one. */
const WRITER_LOCK = 1;
/** A statement was cancelled, for example by its time limit. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const QUERY_CANCELED = '57014';

/**
 * Identifies the server process, in SQL. Behind pgbouncer, the next transaction may run on another server without a new
 * connection.
 */
export const SERVER_PROCESS = 'pg_postmaster_start_time()::text';

const WRITES: readonly string[] = ['DELETE', 'INSERT', 'UPDATE'];

/** What runs in a transaction. */
interface Transaction {
  readonly connection: number;
  readonly endAt: number;
  readonly isReading: boolean;
  /** The server learns of the transaction with its first statement. */
  hasBegun: boolean;
  /** Statements that are sent with the next ones. */
  deferred: Statement[];
}

/**
 * Transactions on PostgreSQL, one at a time. Every call blocks until it succeeds, fails or reaches its time
 * limit. While no server can be reached, calls fail at once.
 */
export class Session {
  readonly #bridge: Bridge;
  #transaction: Transaction | undefined;
  #rowsWritten = 0;
  #begin = BEGIN;

  /** @throws DatabaseError if no server can be reached */
  constructor(addresses: readonly string[]) {
    this.#bridge = new Bridge(addresses);
    const limitMs = Math.max(MIN_START_LIMIT_MS, addresses.length * START_LIMIT_PER_SERVER_MS);
    if (this.#bridge.waitForConnection(limitMs)) return;
    const why = this.#bridge.unreachable;
    this.#bridge.close();
    throw new DatabaseError(why, undefined);
  }

  /** Number of the current connection; 0 while there is none. A new connection has a higher one. */
  get connection(): number {
    return this.#bridge.connection;
  }

  /** Number of rows written so far, by all statements. */
  get rowsWritten(): number {
    return this.#rowsWritten;
  }

  /**
   * From now on, at most one transaction of this writer is open or waits for a synchronous standby. PostgreSQL does not
   * end the wait when its client has gone. So, without this, each commit that was given up would keep a connection of
   * the server until a standby is back, and soon nobody could connect.
   * https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
   * @param writer a whole number that no other process uses
   */
  writeAs(writer: number): void {
    this.#begin = `${BEGIN}; SELECT pg_advisory_xact_lock(${WRITER_LOCK}, ${writer % 2 ** 31})`;
  }

  /**
   * Runs `work` in one transaction. Its writes are on disk when this returns, and on that of the synchronous standby if
   * there is one. They are undone if it throws, unless the error is uncertain.
   */
  transaction<T>(work: () => T, limitMs = TRANSACTION_LIMIT_MS): T {
    return this.#within(work, { isReading: false, limitMs });
  }

  /** Runs `work`, which only reads. All its statements see the same state. */
  reading<T>(work: () => T): T {
    if (this.#transaction !== undefined) return work();
    return this.#within(work, { isReading: true, limitMs: TRANSACTION_LIMIT_MS });
  }

  /** Runs `work` in a savepoint of the current transaction. Only its writes are undone if it throws. */
  attempt<T>(work: () => T): T {
    this.run('SAVEPOINT attempt');
    try {
      const result = work();
      // Sent here and not later, so that deferred statements fail within the attempt.
      this.run('RELEASE SAVEPOINT attempt');
      return result;
    } catch (error) {
      // If the connection is lost, so is the transaction. The caller must get the first error.
      if (!isLost(error)) {
        if (this.#transaction !== undefined) this.#transaction.deferred = [];
        this.run('ROLLBACK TO SAVEPOINT attempt');
        this.run('RELEASE SAVEPOINT attempt');
      }
      throw error;
    }
  }

  /**
   * Runs one statement, in the current transaction if there is one.
   * @throws DatabaseError
   */
  run(text: string, ...values: readonly SqlValue[]): StatementResult {
    const statement = values.length === 0 ? { text } : { text, values };
    return this.runAll([statement])[0] as StatementResult;
  }

  /** Returns the rows of one statement. */
  rows<Row>(text: string, ...values: readonly SqlValue[]): Row[] {
    return this.reading(() => this.run(text, ...values).rows as unknown as Row[]);
  }

  /**
   * Runs several statements of the current transaction, which costs less than to run each.
   * @throws DatabaseError
   */
  runAll(statements: readonly Statement[]): readonly StatementResult[] {
    const transaction = this.#transaction;
    if (transaction === undefined) return this.transaction(() => this.runAll(statements));
    const { results, error } = this.#send(transaction, statements);
    if (error !== undefined) throw error;
    return results.slice(-statements.length);
  }

  /**
   * Runs statements of the current transaction whose results are not needed, together with the next
   * statements or with the commit. If these statements fail, those fail too.
   */
  defer(statements: readonly Statement[]): void {
    if (this.#transaction === undefined) this.runAll(statements);
    else this.#transaction.deferred.push(...statements);
  }

  close(): void {
    this.#bridge.close();
  }

  #within<T>(work: () => T, { isReading, limitMs }: { isReading: boolean; limitMs: number }): T {
    const { connection } = this;
    if (connection === 0) {
      throw new DatabaseError(`no connection: ${this.#bridge.unreachable}`, undefined);
    }
    const endAt = performance.now() + limitMs;
    const transaction = {
      connection,
      endAt,
      isReading,
      hasBegun: false,
      deferred: [],
    };
    this.#transaction = transaction;
    try {
      const result = work();
      if (transaction.hasBegun || transaction.deferred.length > 0) this.#commit(transaction);
      return result;
    } catch (error) {
      if (transaction.hasBegun && !isLost(error)) this.#rollBack(transaction);
      throw error;
    } finally {
      this.#transaction = undefined;
    }
  }

  /**
   * Nothing asks the server later whether the transaction was committed (`pg_xact_status`). After a failover another
   * transaction may have its id. And a server that says that it was committed may be a primary that no standby
   * follows any more.
   */
  #commit(transaction: Transaction): void {
    if (transaction.isReading) return void this.#send(transaction, [{ text: COMMIT }]);
    const { results, error, unreplicated } = this.#send(transaction, [{ text: COMMIT }]);
    if (unreplicated !== undefined) {
      // So everything is read again: it may contain the writes of this transaction.
      this.#bridge.abort(transaction.connection);
      throw new DatabaseError(unreplicated, undefined, true);
    }
    if (error !== undefined) {
      throw isLost(error) ? new DatabaseError(error.message, undefined, true) : error;
    }
    if (results.at(-1)?.command === 'COMMIT') return;
    throw new DatabaseError('the server rolled the transaction back', '40000');
  }

  #rollBack(transaction: Transaction): void {
    transaction.deferred = [];
    const { error } = this.#send(transaction, [{ text: 'ROLLBACK' }]);
    if (error !== undefined) this.#bridge.abort(transaction.connection);
  }

  /** Sends the statements, after those that are deferred. */
  #send(
    transaction: Transaction,
    statements: readonly Statement[],
  ): {
    results: readonly StatementResult[];
    error: DatabaseError | undefined;
    unreplicated: string | undefined;
  } {
    const { connection, endAt, hasBegun, deferred, isReading } = transaction;
    const begin = hasBegun ? [] : [{ text: isReading ? BEGIN_READING : this.#begin }];
    transaction.hasBegun = true;
    transaction.deferred = [];
    const leftMs = Math.max(endAt - performance.now(), 1);
    const all = [...begin, ...deferred, ...statements];
    const { results, error, unreplicated } = this.#bridge.run(connection, all, leftMs);
    for (const { command, count } of results) {
      if (WRITES.includes(command)) this.#rowsWritten += count;
    }
    if (!hasBegun && results.length === 0 && error?.state === QUERY_CANCELED) {
      // This server may be a primary that no standby follows any more, so the others are tried first.
      this.#bridge.abort(connection);
      const waits = new DatabaseError('an earlier commit still waits for a standby', undefined);
      return { results, error: waits, unreplicated };
    }
    return { results, error: error && new DatabaseError(error.message, error.state), unreplicated };
  }
}

function isLost(error: unknown): boolean {
  return error instanceof DatabaseError && error.state === undefined;
}
