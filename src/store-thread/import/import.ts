import { join } from 'node:path';
import type { Imported } from '../../contract/operations.ts';
import { RmError } from '../../errors.ts';
import { parseDatabaseUrl } from '../../platform/database-url.ts';
import { permissionProblem } from '../../platform/file-access.ts';
import { migrate } from '../postgres/schema.ts';
import { Session } from '../postgres/session.ts';
import { databaseExists, lockForServing, openDatabase } from '../sqlite/database.ts';
import { importFleet } from './import-fleet.ts';

/**
 * Opens both databases and imports the fleet. Until it has ended, no process can serve the one in SQLite.
 * @throws RmError `usage`, `data_dir_locked`, `database_failed`, `database_not_empty`, `import_failed`
 */
export function importFrom(dataDir: string, databaseUrl: string): Imported {
  if (!databaseExists(dataDir)) {
    // A directory that this user must not enter looks as if it were empty.
    const problem = permissionProblem(join(dataDir, 'fleet.db'), 'read');
    if (problem !== undefined) throw new RmError('database_failed', problem);
    throw new RmError(
      'usage',
      `--from: ${dataDir} has no fleet.db; give the data_dir of a restic-manager`,
    );
  }
  const { addresses, place } = parseDatabaseUrl(databaseUrl) ?? { addresses: [], place: '' };
  const lock = lockForServing(dataDir);
  const from = openDatabase(dataDir, 'must_exist');
  try {
    const to = new Session(addresses);
    try {
      migrate(to, place, 'create');
      return importFleet(from, to, place, Date.now());
    } finally {
      to.close();
    }
  } finally {
    from.close();
    lock.close();
  }
}
