import { loadSettings } from '../config/load.ts';
import { RmError } from '../errors.ts';
import type { ListedHost } from '../store/operations.ts';
import { Store } from '../store/store.ts';
import type { StoreClient } from '../store/store-client.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

export const hosts: Command = {
  usage: `restic-manager hosts add NAME            enrol a host; prints its token, once
restic-manager hosts list [--json]       hosts with status, last backup and open alerts
restic-manager hosts remove HOST_ID      remove a host with its jobs and alerts

  --config FILE  settings in YAML, for data_dir (default: RM_CONFIG)`,
  async run(args) {
    const { values, positionals } = parseFlags(args, {
      config: { type: 'string' },
      json: { type: 'boolean' },
    });
    const [action, ...rest] = positionals;
    if (values.json && action !== 'list')
      throw new RmError('usage', '--json belongs to hosts list');
    switch (action) {
      case 'add':
        expectArguments(rest, ['NAME']);
        return withStore(values.config, (store) => add(store, rest[0] ?? ''));
      case 'list':
        expectArguments(rest, []);
        return withStore(values.config, (store) => list(store, values.json ?? false));
      case 'remove':
        expectArguments(rest, ['HOST_ID']);
        return withStore(values.config, (store) => remove(store, rest[0] ?? ''));
      default:
        throw new RmError('usage', 'expected hosts add, hosts list or hosts remove');
    }
  },
};

async function withStore(
  config: string | undefined,
  work: (store: StoreClient) => Promise<void>,
): Promise<void> {
  const { settings } = loadSettings(process.env, config);
  const store = await Store.open({ dataDir: settings.dataDir, fleet: undefined });
  try {
    await work(store.connect());
  } finally {
    await store.close();
  }
}

async function add(store: StoreClient, host: string): Promise<void> {
  const { hostId, token } = await store.submit('addHost', { host });
  console.log(JSON.stringify({ host_id: hostId, host, token }));
}

async function list(store: StoreClient, json: boolean): Promise<void> {
  const listed = await store.submit('listHosts', null);
  console.log(json ? JSON.stringify(listed.map(asJson), null, 2) : table(listed));
}

async function remove(store: StoreClient, hostId: string): Promise<void> {
  const removed = await store.submit('removeHost', { hostId });
  if (!removed) {
    throw new RmError(
      'no_such_host',
      `no host has the id ${JSON.stringify(hostId)}; see hosts list`,
    );
  }
  console.log(`removed ${hostId}`);
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

/** The name comes last: how wide a terminal shows it is hard to tell in some scripts. */
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
      host,
    ]),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
