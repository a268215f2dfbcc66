import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Imported } from '../../contract/operations.ts';
import { RmError } from '../../errors.ts';
import { parseDatabaseUrl } from '../../platform/database-url.ts';
import { migrate } from '../postgres/schema.ts';
import { Session } from '../postgres/session.ts';
import { lockForServing, openDatabase } from '../sqlite/database.ts';
import { importFleet } from './import-fleet.ts';

/**
 * Opens both databases and imports the fleet. Nobody can serve the one in SQLite meanwhile.
 * @throws RmError `usage`, `data_dir_locked`, `database_failed`, `database_not_empty`, `import_failed`
 */
export function importFrom(dataDir: string, databaseUrl: string): Imported {
  if (!existsSync(join(dataDir, 'fleet.db'))) {
    throw new RmError(
      'usage',
      `--from: ${dataDir} has no fleet.db; name the data_dir of a restic-manager`,
    );
  }
  const { addresses, place } = parseDatabaseUrl(databaseUrl) ?? { addresses: [], place: '' };
  const lock = lockForServing(dataDir);
  const from = openDatabase(dataDir);
  try {
    const to = new Session(addresses);
    try {
      migrate(to, place);
      return importFleet(from, to, place, Date.now());
    } finally {
      to.close();
    }
  } finally {
    from.close();
    lock.close();
  }
}
