import { loadSettings } from '../config/load.ts';
import { RmError } from '../errors.ts';
import { Store } from '../loop/doors/store.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

export const importCommand: Command = {
  usage: `restic-manager import --from DIR [--config FILE]

Copy hosts, tokens, open alerts and jobs from SQLite to an empty PostgreSQL database.

  --from DIR     data_dir of a restic-manager that is stopped
  --config FILE  settings in YAML; only database_url is used (default: RM_CONFIG)

Compares the copy with the original. If anything fails, nothing is copied. DIR stays unchanged.`,
  async run(args) {
    const { values, positionals } = parseFlags(args, {
      from: { type: 'string' },
      config: { type: 'string' },
    });
    expectArguments(positionals, []);
    if (values.from === undefined) throw new RmError('usage', '--from DIR is missing');
    const { databaseUrl } = loadSettings(process.env, values.config).settings;
    if (databaseUrl === undefined) {
      throw new RmError('usage', 'database_url is not set; the fleet is copied to that database');
    }
    const { hosts, jobs, alerts } = await Store.importFleet(values.from, databaseUrl);
    console.log(
      `imported ${hosts} hosts, ${jobs} jobs and ${alerts} open alerts; the copy is equal to the original`,
    );
  },
};
