import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, RmError } from '../errors.ts';
import { MIGRATIONS } from './schema.ts';

/** How long one process waits for another one's transaction. */
const BUSY_TIMEOUT_MS = 5_000;
const RETRY_MS = 5;
/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

/**
 * Opens `fleet.db` in the data directory, makes both if need be, and brings the schema up to date.
 * Write-ahead log and `synchronous=FULL`: what is committed survives a killed process and a power cut.
 * @throws RmError `database_failed`, `database_too_new`
 */
export function openDatabase(dataDir: string): DatabaseSync {
  const file = join(dataDir, 'fleet.db');
  try {
    makeDirectory(dataDir);
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
  const lock = new DatabaseSync(join(dataDir, 'serve.lock'), { timeout: 1_000 });
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
      if (!isBusy(error) || performance.now() > deadline) throw error;
      sleep(RETRY_MS);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
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
