import { chmodSync, closeSync, openSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';

/**
 * The database, its write-ahead log and shared memory (https://www.sqlite.org/walformat.html), and the
 * lock of the control plane.
 */
const FILES = ['fleet.db', 'fleet.db-wal', 'fleet.db-shm', 'serve.lock'];
const PRIVATE = 0o600;
const OTHERS = 0o077;

/**
 * Creates the file with access for its owner only, whatever the umask is. SQLite gives its other
 * files the permissions of the database.
 */
export function createPrivately(file: string): void {
  try {
    // `wx` does not open an existing file. Closing it would drop the locks that SQLite holds on it
    // in this process.
    closeSync(openSync(file, 'wx', PRIVATE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Removes the access of other users from files that an earlier version or a copy left open to them.
 * @returns warnings about what could not be changed, and about an unsafe data directory
 */
export function protectFiles(dataDir: string): string[] {
  const warnings: string[] = [];
  for (const name of FILES) {
    const file = join(dataDir, name);
    const stats = statOf(file);
    if (stats === undefined || (stats.mode & OTHERS) === 0) continue;
    try {
      chmodSync(file, PRIVATE);
    } catch (error) {
      warnings.push(`${file}: other users can read it, and chmod failed: ${messageOf(error)}`);
    }
  }
  if (((statOf(dataDir)?.mode ?? 0) & OTHERS) !== 0) {
    warnings.push(
      `${dataDir}: other users can list the data directory; run chmod 700 on it to prevent that`,
    );
  }
  return warnings;
}

/**
 * Detects that a file of the open database was deleted or replaced. SQLite would continue to write to
 * the old file, which no process can open any more, so those writes would be lost.
 */
export class DatabaseFiles {
  readonly #known: readonly (readonly [file: string, stats: Stats])[];

  /** To be constructed while the database is open and was used, because all its files exist then. */
  constructor(dataDir: string) {
    const files = [dataDir, ...FILES.map((name) => join(dataDir, name))];
    this.#known = files.flatMap((file) => {
      const stats = statOf(file);
      return stats === undefined ? [] : [[file, stats] as const];
    });
  }

  /** @returns the first file that was deleted or replaced */
  changed(): string | undefined {
    try {
      for (const [file, stats] of this.#known) {
        const now = statOf(file);
        if (now === undefined || now.ino !== stats.ino || now.dev !== stats.dev) return file;
      }
    } catch {
      // The mode of a parent directory has changed, so `stat` fails. The files themselves still exist
      // and are open.
    }
    return undefined;
  }
}

/** @returns undefined if there is no such file */
function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}
