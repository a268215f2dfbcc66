import type { DatabaseSync } from 'node:sqlite';
import type { Imported } from '../../contract/operations.ts';
import type { SqlScalar } from '../../contract/statements.ts';
import { RmError } from '../../errors.ts';
import type { Session } from '../postgres/session.ts';
import { storable } from '../postgres/text.ts';
import { Statements } from '../sqlite/statements.ts';
import { type ColumnType, type ImportedTable, importedTables } from './columns.ts';

/** Number of rows that one statement writes or compares. */
const PAGE = 2_000;
/** A day: a large fleet may take long. */
const LIMIT_MS = 24 * 60 * 60 * 1_000;

type Row = readonly SqlScalar[];

/**
 * Copies a fleet from SQLite to an empty PostgreSQL, in one transaction: so that it copies everything
 * or nothing. Before the commit it reads everything again from both and compares it.
 * @throws RmError `database_not_empty`, `import_failed`
 */
export function importFleet(
  from: DatabaseSync,
  to: Session,
  place: string,
  nowMs: number,
): Imported {
  const source = new Statements(from);
  return to.transaction(() => {
    to.run('SET LOCAL statement_timeout = 0');
    // If a control plane starts to serve the database in the meantime, it waits until the import has ended.
    to.run('LOCK TABLE hosts, tokens, jobs, instances IN ACCESS EXCLUSIVE MODE');
    expectEmpty(to, place);
    const tables = importedTables(nowMs);
    for (const table of tables) copy(source, to, table);
    for (const table of tables) compare(source, to, table);
    const [at] = source.get<[number]>('SELECT at FROM clock') ?? [];
    if (at !== undefined) to.run('INSERT INTO clock (one, at) VALUES (1, $1)', at);
    const [hosts = 0, jobs = 0, alerts = 0] =
      (to.run(`SELECT (SELECT count(*) FROM hosts), (SELECT count(*) FROM jobs),
        (SELECT count(*) FROM hosts, jsonb_object_keys(alerts))`).rows[0] as number[]) ?? [];
    return { hosts, jobs, alerts };
  }, LIMIT_MS);
}

function expectEmpty(to: Session, place: string): void {
  const { rows } = to.run(
    `SELECT EXISTS (SELECT FROM hosts) OR EXISTS (SELECT FROM jobs),
       EXISTS (SELECT FROM instances WHERE seen_at > clock_timestamp() - interval '30 seconds')`,
  );
  const [isUsed, isServed] = rows[0] ?? [];
  if (isUsed) {
    throw new RmError(
      'database_not_empty',
      `${place}: already has hosts; import into an empty database`,
    );
  }
  if (isServed) {
    throw new RmError(
      'database_not_empty',
      `${place}: is in use; stop every restic-manager that uses it, and wait for 30 s`,
    );
  }
}

function copy(source: Statements, to: Session, { name, columns, ...table }: ImportedTable): void {
  const names = columns.map(([column]) => column).join(', ');
  const types = columns.map(([, type], index) => `$${index + 1}::${type}[]`).join(', ');
  const sql = `INSERT INTO ${name} (${names}) SELECT * FROM unnest(${types})`;
  for (const page of pages(source, { name, columns, ...table })) {
    to.run(sql, ...columns.map((_, index) => page.map((row) => row[index] ?? null)));
  }
}

function compare(source: Statements, to: Session, table: ImportedTable): void {
  const { name, columns } = table;
  let count = 0;
  for (const page of pages(source, table)) {
    count += page.length;
    const keys = columns.slice(0, table.keys);
    const { rows } = to.run(
      `SELECT ${columns.map(([column]) => `t.${column}`).join(', ')} FROM ${name} t
       JOIN unnest(${keys.map(([, type], index) => `$${index + 1}::${type}[]`).join(', ')})
         WITH ORDINALITY AS k (${keys.map(([column]) => column).join(', ')}, place)
       USING (${keys.map(([column]) => column).join(', ')}) ORDER BY k.place`,
      ...keys.map((_, index) => page.map((row) => row[index] ?? null)),
    );
    const different = page.findIndex(
      (row, index) => textOf(row, columns) !== textOf(rows[index], columns),
    );
    if (different !== -1) {
      const key = JSON.stringify(page[different]?.slice(0, table.keys));
      throw new RmError(
        'import_failed',
        `${name}: ${key} differs from the row that was read; nothing was imported`,
      );
    }
  }
  const stored = Number(to.run(`SELECT count(*) FROM ${name}`).rows[0]?.[0]);
  if (stored === count) return;
  throw new RmError(
    'import_failed',
    `${name}: ${count} rows were read, but ${stored} were stored; nothing was imported`,
  );
}

/** The rows of a table in SQLite, as PostgreSQL must store them. */
function* pages(source: Statements, { columns, source: from }: ImportedTable): Iterable<Row[]> {
  const selected = columns.map(([column, , expression]) => expression ?? column);
  let page: Row[] = [];
  for (const row of source.iterate<SqlScalar[]>(`SELECT ${selected.join(', ')} FROM ${from}`)) {
    page.push(row.map((value, index) => converted(value, columns[index]?.[1])));
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

function converted(value: SqlScalar, type: ColumnType | undefined): SqlScalar {
  if (type === 'boolean' && value !== null) return value === 1;
  return typeof value === 'string' ? storable(value) : value;
}

/** Returns the same text for equal rows, whatever the order of the keys in JSON and the class of bytes. */
function textOf(row: readonly unknown[] | undefined, columns: ImportedTable['columns']): string {
  return JSON.stringify(
    row?.map((value, index) => {
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
      if (columns[index]?.[1] !== 'jsonb') return value;
      return Object.entries(JSON.parse(String(value))).sort(([a], [b]) => (a < b ? -1 : 1));
    }),
  );
}
