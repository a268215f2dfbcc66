import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { errorCode, messageOf, RmError } from '../../errors.ts';
import type { FailureKind } from '../engine.ts';
import { createPrivately } from './database-files.ts';
import { MIGRATIONS } from './schema.ts';

/** How long one process waits for another one's transaction. */
const BUSY_TIMEOUT_MS = 5_000;
const RETRY_MS = 5;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
/** Errors of one statement and its values; with any other the database as a whole cannot be used now. */
const OF_A_STATEMENT: readonly number[] = [1, 12, 18, 19, 20, 25]; // ERROR NOTFOUND TOOBIG CONSTRAINT MISMATCH RANGE

/**
 * Opens `fleet.db` in the data directory, makes both if need be, and brings the schema up to date.
 * Write-ahead log and `synchronous=FULL`: what is committed survives a killed process and a power cut.
 * @throws RmError `database_failed`, `database_too_new`
 */
export function openDatabase(dataDir: string): DatabaseSync {
  const file = join(dataDir, 'fleet.db');
  try {
    makeDirectory(dataDir);
    createPrivately(file);
    const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    keepWriteAheadLog(db);
    db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    migrate(db, file);
    return db;
  } catch (error) {
    if (error instanceof RmError) throw error;
    throw new RmError('database_failed', `${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** The same, but nothing of it is on disk. */
export function openInMemory(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA foreign_keys = ON');
  migrate(db, 'memory');
  return db;
}

/**
 * Makes a directory and those above it. Not by `recursive: true`, which never comes back where making one in a
 * directory that exists says that there is none, as in /proc.
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
    // Another process may have been as far as this.
    makeDirectory(directory);
  }
}

/**
 * Makes this process the only one that serves `dataDir`. The lock is a transaction on a file of its own,
 * so the operating system ends it with the process, however that dies.
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

/** Whether a control plane is running on `dataDir`, in whichever process. */
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

/** From now on a transaction fails at once if another process has the lock; the caller tries again later. */
export function doNotWait(db: DatabaseSync): void {
  db.exec('PRAGMA busy_timeout = 0');
}

/** Runs `work` in one transaction: all of it is on disk when this returns, or nothing if it throws. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk has SQLite roll back by itself.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/**
 * Of two processes that open a new database at once, each has a lock that the other needs for this. SQLite sees
 * that and tells one of them at once that the database is locked, whatever its timeout.
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

/** What an error means for the operations that wait. */
export function failureKind(error: unknown): FailureKind {
  const code = primaryCode(error);
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return 'locked';
  return code === undefined || OF_A_STATEMENT.includes(code) ? 'operation' : 'unavailable';
}

/** The error of SQLite, without the details in its upper bits; undefined for other errors. */
function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return Number(error.errcode) & 0xff;
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, ms);
}

function migrate(db: DatabaseSync, file: string): void {
  // Nothing is written to an up-to-date database: reading it must work on a full disk, too.
  if (schemaVersion(db) === MIGRATIONS.length) return;
  transaction(db, () => {
    const version = schemaVersion(db);
    if (version > MIGRATIONS.length) {
      throw new RmError(
        'database_too_new',
        `${file}: has schema version ${version}, this restic-manager knows ${MIGRATIONS.length}; run the newer one`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) db.exec(migration);
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}

function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version);
}

/** For another thread. */
export function describeError(error: unknown): { code: string; message: string } {
  const code = errorCode(error) ?? 'database_failed';
  return {
    code,
    message: error instanceof RmError ? error.message : `SQLite: ${messageOf(error)}`,
  };
}
