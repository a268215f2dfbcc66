import { chmodSync, closeSync, openSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';

/** The database, its write-ahead log and its shared memory (https://www.sqlite.org/walformat.html), and our lock. */
const FILES = ['fleet.db', 'fleet.db-wal', 'fleet.db-shm', 'serve.lock'];
const PRIVATE = 0o600;
const OTHERS = 0o077;

/**
 * Makes a new file readable for its owner only, whatever the umask says. SQLite gives the permissions of the
 * database to the files beside it.
 */
export function createPrivately(file: string): void {
  try {
    // Only if there is none: closing a file drops the locks that SQLite in this process has on it.
    closeSync(openSync(file, 'wx', PRIVATE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Takes permissions away that an earlier version or a copy left. @returns what could not be done, or is unsafe */
export function protectFiles(dataDir: string): string[] {
  const warnings: string[] = [];
  for (const name of FILES) {
    const file = join(dataDir, name);
    const stats = statOf(file);
    if (stats === undefined || (stats.mode & OTHERS) === 0) continue;
    try {
      chmodSync(file, PRIVATE);
    } catch (error) {
      warnings.push(`${file}: others can read it, and that cannot be changed: ${messageOf(error)}`);
    }
  }
  if (((statOf(dataDir)?.mode ?? 0) & OTHERS) !== 0) {
    warnings.push(
      `${dataDir}: others can look into the data directory; chmod 700 would keep them out`,
    );
  }
  return warnings;
}

/**
 * Notices when a file of an open database is deleted or replaced. SQLite would go on with the old one, which
 * nobody can open any more: all that is written to it is lost.
 */
export class DatabaseFiles {
  readonly #known: readonly (readonly [file: string, stats: Stats])[];

  /** To be made while the database is open and in use, since then all of its files are there. */
  constructor(dataDir: string) {
    const files = [dataDir, ...FILES.map((name) => join(dataDir, name))];
    this.#known = files.flatMap((file) => {
      const stats = statOf(file);
      return stats === undefined ? [] : [[file, stats] as const];
    });
  }

  /** @returns the first file that is not the one any more that it was */
  changed(): string | undefined {
    try {
      for (const [file, stats] of this.#known) {
        const now = statOf(file);
        if (now === undefined || now.ino !== stats.ino || now.dev !== stats.dev) return file;
      }
    } catch {
      // What cannot be looked at, since a directory above has another mode now, is not gone: it is still open.
    }
    return undefined;
  }
}

/** @returns undefined if there is no such file */
function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}
