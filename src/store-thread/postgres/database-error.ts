import { errorCode, messageOf, RmError } from '../../errors.ts';
import type { Failure, FailureKind } from '../engine.ts';

/** An error of a statement, or the loss of the connection. */
export class DatabaseError extends Error {
  /** SQLSTATE, if the server reported the error; undefined if the connection was lost. */
  readonly state: string | undefined;
  /**
   * Whether the transaction may have been committed: the answer to its commit was lost, or the server has committed
   * it, but a synchronous standby may not have it.
   */
  readonly isUncertain: boolean;

  constructor(message: string, state: string | undefined, isUncertain = false) {
    super(message);
    this.name = 'DatabaseError';
    this.state = state;
    this.isUncertain = isUncertain;
  }
}

/** Conflicts with another transaction: serialization failure, deadlock. The same batch may succeed soon. */
const RETRYABLE: readonly string[] = ['40001', '40P01'];
/**
 * Classes of errors that concern one statement and its values: data exceptions and violated
 * constraints. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const STATEMENT_CLASSES: readonly string[] = ['22', '23'];

/** Returns whether the error says that a row already exists (violated unique constraint). */
export function isDuplicate(error: unknown): boolean {
  return error instanceof DatabaseError && error.state === '23505';
}

export function failureKind(error: unknown): FailureKind {
  if (!(error instanceof DatabaseError)) return 'operation';
  const { state } = error;
  if (state === undefined) return 'unavailable';
  if (RETRYABLE.includes(state)) return 'locked';
  return STATEMENT_CLASSES.includes(state.slice(0, 2)) ? 'operation' : 'unavailable';
}

/** Returns the code and message of an error, to be sent to another thread. */
export function failureOf(error: unknown): Failure {
  const isUncertain = error instanceof DatabaseError && error.isUncertain;
  const what = error instanceof RmError ? error.message : `PostgreSQL: ${messageOf(error)}`;
  const message = isUncertain ? `${what}; the change may have been stored nevertheless` : what;
  const code = errorCode(error) ?? 'database_failed';
  return { kind: failureKind(error), code, message, isUncertain };
}
