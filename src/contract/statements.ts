/*
 * The messages between the store thread and the connection thread, which runs statements on PostgreSQL.
 */

/** The elements of the shared `signal`, on which the store thread waits. */
export const Signal = {
  /** Counts the messages that were sent to the store thread. */
  messages: 0,
  /** Number of the current connection to a server, counted from 1. It is 0 while there is none. */
  connection: 1,
  length: 2,
} as const;

export type SqlScalar = string | number | boolean | null | Uint8Array;
export type SqlValue = SqlScalar | readonly SqlScalar[];

export interface Statement {
  readonly text: string;
  /** Without values the text may contain several statements. */
  readonly values?: readonly SqlValue[];
}

/** A message from the store thread. */
export type ConnectionRequest =
  /**
   * Run these statements of one transaction in order. Statements after one that fails have no effect. All
   * fail if the current connection does not have this number.
   */
  | { readonly run: number; readonly connection: number; readonly statements: readonly Statement[] }
  /** End the connection with this number at once: it did not answer in time. */
  | { readonly abort: number }
  | { readonly close: true };

export interface StatementResult {
  readonly rows: readonly (readonly unknown[])[];
  /** The first word of the command tag, such as `UPDATE`, and the number of rows of the tag. */
  readonly command: string;
  readonly count: number;
}

/** The error of a statement, as it crosses threads. */
export interface StatementError {
  readonly message: string;
  /** SQLSTATE, if the server reported the error; undefined if the connection was lost. */
  readonly state: string | undefined;
}

/** A message to the store thread. */
export type ConnectionMessage =
  | {
      readonly run: number;
      /** The results of the statements that succeeded. */
      readonly results: readonly StatementResult[];
      readonly error: StatementError | undefined;
      /** The server's message that a synchronous standby may not have the commit among the statements. */
      readonly unreplicated: string | undefined;
    }
  /** No server could be reached. */
  | { readonly unreachable: string }
  | { readonly closed: true };
