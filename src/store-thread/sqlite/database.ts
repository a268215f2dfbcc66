import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { errorCode, messageOf, RmError } from '../../errors.ts';
import { permissionProblem } from '../../platform/file-access.ts';
import type { FailureKind, Missing } from '../engine.ts';
import { createPrivately } from './database-files.ts';
import { MIGRATIONS } from './schema.ts';

/** How long a process waits for the transaction of another process. */
const BUSY_TIMEOUT_MS = 5_000;
const RETRY_MS = 5;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
/** Errors of one statement and its values. Any other error means that the database cannot be used. */
const STATEMENT_ERRORS: readonly number[] = [1, 12, 18, 19, 20, 25]; // ERROR NOTFOUND TOOBIG CONSTRAINT MISMATCH RANGE

/**
 * Opens `fleet.db` in the data directory and migrates the schema. With a write-ahead log and
 * `synchronous=FULL`, commits survive a killed process and a power cut.
 * @throws RmError `database_failed`, `database_too_new`, `no_database`
 */
export function openDatabase(dataDir: string, missing: Missing = 'create'): DatabaseSync {
  const file = join(dataDir, 'fleet.db');
  try {
    if (missing === 'create') {
      makeDirectory(dataDir);
      createPrivately(file);
    } else if (!databaseExists(dataDir)) {
      // A directory that this user must not enter looks as if it were empty.
      const problem = permissionProblem(file, 'read');
      if (problem !== undefined) throw new RmError('database_failed', problem);
      throw new RmError(
        'no_database',
        `no database in ${dataDir}; give --config or RM_DATA_DIR (hosts add and serve create one)`,
      );
    }
    const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    keepWriteAheadLog(db);
    db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    migrate(db, file);
    return db;
  } catch (error) {
    if (error instanceof RmError) throw error;
    const reason = permissionProblem(file, 'write') ?? messageOf(error);
    throw new RmError('database_failed', `${file}: ${reason}`, { cause: error });
  }
}

/** Returns whether the data directory has a database, as far as this user can see. */
export function databaseExists(dataDir: string): boolean {
  return existsSync(join(dataDir, 'fleet.db'));
}

/** Opens an empty database in memory, with the same schema. */
export function openInMemory(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA foreign_keys = ON');
  migrate(db, 'memory');
  return db;
}

/**
 * Creates a directory and its parents. `mkdirSync` with `recursive: true` never returns if creating a
 * directory in an existing one fails with ENOENT, as in /proc.
 */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(directory).isDirectory()) return;
    const parent = dirname(directory);
    if (code !== 'ENOENT' || existsSync(parent)) throw error;
    makeDirectory(parent);
    // Another process may have created it in the meantime, so this goes through the same checks again.
    makeDirectory(directory);
  }
}

/**
 * Makes this process the only one that serves `dataDir`. The lock is a transaction on a separate file,
 * so the operating system releases it however the process ends.
 * @throws RmError `data_dir_locked`
 */
export function lockForServing(dataDir: string): DatabaseSync {
  const file = join(dataDir, 'serve.lock');
  createPrivately(file);
  const lock = new DatabaseSync(file, { timeout: 1_000 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw new RmError(
      'data_dir_locked',
      `${dataDir}: another restic-manager serves this data directory; stop it or set another data_dir`,
      { cause: error },
    );
  }
}

/** Returns whether a control plane, in any process, serves `dataDir`. */
export function isBeingServed(dataDir: string): boolean {
  const file = join(dataDir, 'serve.lock');
  if (!existsSync(file)) return false;
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE; ROLLBACK');
    return false;
  } catch {
    return true;
  } finally {
    lock.close();
  }
}

/** After this call a transaction fails at once if another process holds the lock. */
export function doNotWait(db: DatabaseSync): void {
  db.exec('PRAGMA busy_timeout = 0');
}

/** Runs `work` in one transaction. Its writes are on disk when this returns, and undone if it throws. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // On a full disk SQLite has already rolled back.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/**
 * Sets the journal mode, with retries. If two processes open a new database at once, each holds a lock
 * that the other needs. SQLite detects the deadlock and fails one of them at once, ignoring its timeout.
 * https://www.sqlite.org/c3ref/busy_handler.html
 */
function keepWriteAheadLog(db: DatabaseSync): void {
  const deadline = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (failureKind(error) !== 'locked' || performance.now() > deadline) throw error;
      sleep(RETRY_MS);
    }
  }
}

/** Classifies an error that SQLite or this program threw. */
export function failureKind(error: unknown): FailureKind {
  const code = primaryCode(error);
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return 'locked';
  return code === undefined || STATEMENT_ERRORS.includes(code) ? 'operation' : 'unavailable';
}

/** Returns the primary result code, without the details in its upper bits; undefined for other errors. */
function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return Number(error.errcode) & 0xff;
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, ms);
}

function migrate(db: DatabaseSync, file: string): void {
  // Must not write to a database that is up to date, because reading must work on a full disk.
  if (schemaVersion(db) === MIGRATIONS.length) return;
  transaction(db, () => {
    const version = schemaVersion(db);
    if (version > MIGRATIONS.length) {
      throw new RmError(
        'database_too_new',
        `${file}: has schema version ${version}, but this restic-manager supports only up to ${MIGRATIONS.length}; run a newer restic-manager`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) db.exec(migration);
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}

function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version);
}

/** Returns the code and message of an error, to be sent to another thread. */
export function describeError(error: unknown): { code: string; message: string } {
  const code = errorCode(error) ?? 'database_failed';
  return {
    code,
    message: error instanceof RmError ? error.message : `SQLite: ${messageOf(error)}`,
  };
}
