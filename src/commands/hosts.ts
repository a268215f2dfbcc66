import { writeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { loadSettings } from '../config/load.ts';
import { DEFAULTS } from '../config/settings.ts';
import { detailsJson } from '../contract/host-details.ts';
import { checkHostNames } from '../contract/host-name.ts';
import type { ListedHost } from '../contract/operations.ts';
import { errorCode, messageOf, RmError } from '../errors.ts';
import { Store } from '../loop/doors/store.ts';
import type { StoreClient } from '../loop/doors/store-client.ts';
import { escaped } from '../platform/readable-log.ts';
import type { Missing } from '../store-thread/engine.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';
import { jsonForTerminal, readableDetails } from './readable-details.ts';
import { aligned } from './table.ts';

const APPLIED_POLL_MS = 20;
const APPLIED_LIMIT_MS = 2_000;

export const hosts: Command = {
  usage: `restic-manager hosts add NAME…           enrol hosts; print the token of each, once
       restic-manager hosts add --stdin         the same, one name per line of standard input
       restic-manager hosts list [--json]       list hosts with status, last backup and open alerts
       restic-manager hosts show HOST_ID [--json]
                                                show one host: its agent, alerts and last 20 jobs with their errors
       restic-manager hosts token HOST_ID       replace the token of a host; the old one stops working
       restic-manager hosts rename HOST_ID NAME
       restic-manager hosts remove HOST_ID      remove a host, its jobs and its alerts

Enrol, list, show, rename and remove hosts. Works while serve is running on the same database.

  --config FILE  settings in YAML; only data_dir and database_url are used (default: RM_CONFIG)`,
  async run(args) {
    const { values, positionals } = parseFlags(args, {
      config: { type: 'string' },
      json: { type: 'boolean' },
      stdin: { type: 'boolean' },
    });
    const [name, ...rest] = positionals;
    const action = ACTIONS.get(name ?? '');
    if (action === undefined) {
      throw new RmError('usage', `expected hosts ${[...ACTIONS.keys()].join(', hosts ')}`);
    }
    if (values.json && name !== 'list' && name !== 'show')
      throw new RmError('usage', '--json is only valid with hosts list and hosts show');
    if (values.stdin && name !== 'add')
      throw new RmError('usage', '--stdin is only valid with hosts add');
    await action(rest, values);
  },
};

interface Flags {
  readonly config?: string | undefined;
  readonly json?: boolean | undefined;
  readonly stdin?: boolean | undefined;
}

type Action = (args: readonly string[], flags: Flags) => Promise<void>;

const ACTIONS = new Map<string, Action>([
  ['add', add],
  ['list', list],
  ['show', show],
  ['token', replaceToken],
  ['rename', rename],
  ['remove', remove],
]);

/** Opens the database for `work`. Only a command that adds hosts may create one. */
async function withStore(
  { config }: Flags,
  work: (store: StoreClient) => Promise<void>,
  missing: Missing = 'must_exist',
): Promise<void> {
  const { settings } = loadSettings(process.env, config);
  const { dataDir, databaseUrl } = settings;
  const data = { dataDir, databaseUrl, missing, serving: undefined };
  const store = await Store.open(data).catch((error) => {
    const isDefault = databaseUrl === undefined && dataDir === DEFAULTS.data_dir;
    if (!isDefault || errorCode(error) !== 'database_failed') throw error;
    // Most likely the settings of the server were forgotten.
    throw new RmError('database_failed', `${messageOf(error)}; give --config or RM_DATA_DIR`);
  });
  const { isNew, path } = store.database;
  if (isNew) {
    const what = databaseUrl === undefined ? 'a new database: ' : 'the tables in ';
    console.error(`restic-manager: created ${what}${path}`);
  }
  try {
    await work(store.connect());
  } finally {
    await store.close();
  }
}

async function add(args: readonly string[], flags: Flags): Promise<void> {
  if (flags.stdin) expectArguments(args, []);
  const names = flags.stdin ? namesIn(await text(process.stdin)) : args;
  if (names.length === 0) throw new RmError('usage', 'NAME is missing');
  checkHostNames(names); // before the database is created
  const enrol = async (store: StoreClient) => {
    const enrolled = await store.submit('addHosts', { hosts: names });
    await untilApplied(store);
    const lines = enrolled.map(({ hostId, token }, index) =>
      JSON.stringify({ host_id: hostId, host: names[index], token }),
    );
    try {
      printNow(lines.join('\n'));
    } catch (error) {
      // Submitted together, so that the store commits many in one transaction.
      await Promise.all(enrolled.map(({ hostId }) => store.submit('removeHost', { hostId })));
      const why = `the tokens could not be printed, so no host was added: ${messageOf(error)}`;
      throw new RmError('output_failed', why, { cause: error });
    }
  };
  await withStore(flags, enrol, 'create');
}

/**
 * Writes to standard output before it returns, so that a failure can still be handled.
 * @throws Error of the file system
 */
function printNow(text: string): void {
  let rest = Buffer.from(`${text}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(process.stdout.fd, rest));
    } catch (error) {
      // The reader of the pipe is slower than this loop.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** One name per line. Empty lines are skipped. */
function namesIn(input: string): string[] {
  return input.split(/\r?\n/).filter((line) => line !== '');
}

async function list(args: readonly string[], flags: Flags): Promise<void> {
  expectArguments(args, []);
  await withStore(flags, async (store) => {
    const listed = await store.submit('listHosts', null);
    console.log(flags.json ? jsonForTerminal(listed.map(asJson)) : table(listed));
  });
}

async function show(args: readonly string[], flags: Flags): Promise<void> {
  const [hostId] = expectArguments(args, ['HOST_ID']);
  await withStore(flags, async (store) => {
    const details = await store.submit('showHost', { hostId });
    if (details === undefined) throw noSuchHost(hostId);
    const json = detailsJson(details);
    console.log(flags.json ? jsonForTerminal(json) : readableDetails(json));
  });
}

async function replaceToken(args: readonly string[], flags: Flags): Promise<void> {
  const [hostId] = expectArguments(args, ['HOST_ID']);
  await withStore(flags, async (store) => {
    const replaced = await store.submit('replaceToken', { hostId });
    if (replaced === undefined) throw noSuchHost(hostId);
    await untilApplied(store);
    try {
      printNow(JSON.stringify({ host_id: hostId, ...replaced }));
    } catch (error) {
      const why = `the new token could not be printed, and the old one no longer works; run this command again: ${messageOf(error)}`;
      throw new RmError('output_failed', why, { cause: error });
    }
  });
}

async function rename(args: readonly string[], flags: Flags): Promise<void> {
  const [hostId, host] = expectArguments(args, ['HOST_ID', 'NAME']);
  await withStore(flags, async (store) => {
    if (!(await store.submit('renameHost', { hostId, host }))) throw noSuchHost(hostId);
    await untilApplied(store);
    console.log(`renamed ${hostId}`);
  });
}

async function remove(args: readonly string[], flags: Flags): Promise<void> {
  const [hostId] = expectArguments(args, ['HOST_ID']);
  await withStore(flags, async (store) => {
    if (!(await store.submit('removeHost', { hostId }))) throw noSuchHost(hostId);
    await untilApplied(store);
    console.log(`removed ${hostId}`);
  });
}

/**
 * Waits until a running control plane has applied the change, so that an agent can connect with the
 * token as soon as it is printed. A control plane that is too busy applies it later, so the wait is
 * limited.
 */
async function untilApplied(store: StoreClient): Promise<void> {
  const giveUpAt = performance.now() + APPLIED_LIMIT_MS;
  // The change is already committed. The command must print its token even if this query fails.
  const areHostChangesApplied = () =>
    store.submit('areHostChangesApplied', null).catch(() => false);
  while (!(await areHostChangesApplied()) && performance.now() < giveUpAt) {
    await setTimeout(APPLIED_POLL_MS);
  }
}

function noSuchHost(hostId: string): RmError {
  return new RmError(
    'no_such_host',
    `no host has the id ${JSON.stringify(hostId)}; hosts list shows all ids`,
  );
}

function asJson({ hostId, host, status, lastBackup, openAlerts }: ListedHost) {
  return {
    host_id: hostId,
    host,
    status,
    last_backup_at: lastBackup ? new Date(lastBackup.finishedAtMs).toISOString() : null,
    last_backup_success: lastBackup ? lastBackup.succeeded : null,
    open_alerts: openAlerts.length,
    alerts: openAlerts,
  };
}

/** The name is the last column, because the width of some scripts in a terminal is hard to compute. */
function table(listed: readonly ListedHost[]): string {
  const rows = [
    ['HOST ID', 'STATUS', 'LAST BACKUP', 'OPEN ALERTS', 'HOST'],
    ...listed.map(({ hostId, host, status, lastBackup, openAlerts }) => [
      hostId,
      status,
      lastBackup
        ? `${new Date(lastBackup.finishedAtMs).toISOString()} ${lastBackup.succeeded ? 'ok' : 'FAILED'}`
        : 'never',
      openAlerts.join(', ') || '-',
      // Earlier versions accepted any text as a name.
      escaped(host),
    ]),
  ];
  return aligned(rows);
}
