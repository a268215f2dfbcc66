import { accessSync, constants, existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Debian does not put the programs of the PostgreSQL server on the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/** The programs of the cluster. Each property throws an Error if the program is not installed. */
export const programs = {
  get patroni(): string {
    return required('patroni');
  },
  get etcd(): string {
    return required('etcd');
  },
  /** The directory of `postgres`, `pg_rewind` and the others. */
  get postgresDirectory(): string {
    return dirname(realpathSync(find('initdb', debianDirectories()) ?? required('initdb')));
  },
};

function debianDirectories(): string[] {
  if (!existsSync(DEBIAN)) return [];
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(DEBIAN, version, 'bin'));
}

function required(program: string): string {
  const path = find(program, (process.env.PATH ?? '').split(delimiter));
  if (path === undefined) {
    throw new Error(`${program} is not installed (Debian: patroni, etcd-server, postgresql)`);
  }
  return path;
}

function find(program: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => join(directory, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
