import { loadSettings } from '../config/load.ts';
import { RmError } from '../errors.ts';
import { Store } from '../loop/doors/store.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

export const importCommand: Command = {
  usage: `restic-manager import --from DIR

  --from DIR     the data_dir of a restic-manager that is stopped
  --config FILE  settings in YAML, for database_url (default: RM_CONFIG)

Copies hosts, tokens, alerts and jobs from SQLite to an empty PostgreSQL, all or nothing, and compares the
copy with what it read. DIR stays as it is.`,
  async run(args) {
    const { values, positionals } = parseFlags(args, {
      from: { type: 'string' },
      config: { type: 'string' },
    });
    expectArguments(positionals, []);
    if (values.from === undefined) throw new RmError('usage', '--from DIR is missing');
    const { databaseUrl } = loadSettings(process.env, values.config).settings;
    if (databaseUrl === undefined) {
      throw new RmError('usage', 'database_url is not set; it says where to import to');
    }
    const { hosts, jobs, alerts } = await Store.importFleet(values.from, databaseUrl);
    console.log(
      `imported ${hosts} hosts, ${jobs} jobs and ${alerts} open alerts; compared, and all are equal`,
    );
  },
};
