import type { DatabaseSync, StatementSync } from 'node:sqlite';

export type SqlValue = string | number | null | Uint8Array;

/**
 * Runs SQL. Prepares each statement once. Returns rows as arrays, which node:sqlite creates three times
 * as fast as objects.
 */
export class Statements {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Returns the first row. */
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    return this.#prepare(sql).all(...values) as unknown as Row[];
  }

  iterate<Row>(sql: string): Iterable<Row> {
    return this.#prepare(sql).iterate() as unknown as Iterable<Row>;
  }

  /** @returns the number of changed rows */
  run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }
}
