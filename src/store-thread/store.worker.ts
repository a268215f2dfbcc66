import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Imported, Operation } from '../contract/operations.ts';
import { type Shard, WHOLE_FLEET } from '../contract/shard.ts';
import { EventLog } from '../platform/event-log.ts';
import { createLog } from '../platform/log.ts';
import { FleetTable } from '../shared/fleet-table.ts';
import { ServerStats } from '../shared/server-stats.ts';
import { Administration } from './administration.ts';
import { Batches } from './batches.ts';
import { Clients } from './clients.ts';
import type { Engine } from './engine.ts';
import { Housekeeping } from './housekeeping.ts';
import { Presence } from './presence.ts';
import { Publisher } from './publisher.ts';
import { restoreFleet } from './restore-fleet.ts';
import { describeError } from './sqlite/database.ts';
import { protectFiles } from './sqlite/database-files.ts';
import { SqliteEngine } from './sqlite/engine.ts';
import { StoreHealth } from './store-health.ts';

/** The `workerData` of the store thread. */
export interface StoreThreadData {
  readonly dataDir: string;
  /** If it is set, the fleet is in this PostgreSQL, and not in `dataDir`. Contains the password. */
  readonly databaseUrl?: string | undefined;
  /**
   * The data directory of a fleet to import into `databaseUrl`. The thread does nothing else then, and
   * ends.
   */
  readonly importFrom?: string | undefined;
  /** Set by a control plane. Without it the thread only serves the `hosts` commands. */
  readonly serving: ServingData | undefined;
}

export interface ServingData {
  /** The fleet table, which only this thread writes. */
  readonly fleet: SharedArrayBuffer;
  /** Families that no exposition contains: setting `metrics_exclude`. */
  readonly exclude: readonly string[];
  /** The part of the hosts that the fleet table contains: setting `metrics_shard`. */
  readonly shard: Shard;
  readonly stats: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly logLevel: string;
}

/** A message from the `Store` handle to the thread. */
export type StoreControl =
  | { readonly attach: { loop: number; port: MessagePort; progress: Int32Array } }
  | { readonly close: true };

/** A message from the thread to the `Store` handle. */
export type StoreStatus =
  | { readonly ready: true }
  | { readonly closed: true }
  | { readonly imported: Imported }
  | { readonly failed: { readonly code: string; readonly message: string } };

const { dataDir, databaseUrl, importFrom, serving }: StoreThreadData = workerData;

// On Node 22 `node:sqlite` prints an ExperimentalWarning, which must not appear at every start. Passing
// `--disable-warning` to the thread in `execArgv` is no way out: `execArgv` replaces the flags of the
// process, and a thread rejects some of those.
const printWarnings = process.listeners('warning');
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name === 'ExperimentalWarning') return;
  for (const print of printWarnings) print(warning);
});

if (databaseUrl === undefined) {
  try {
    start(({ onForgottenJobs }) =>
      SqliteEngine.open(dataDir, { serves: serving !== undefined, onForgottenJobs }),
    );
  } catch (error) {
    tell({ failed: describeError(error) });
  }
} else {
  // Loaded only here, so that SQLite, the default, takes no memory and no time for it.
  const { PostgresEngine } = await import('./postgres/engine.ts');
  const { failureOf } = await import('./postgres/database-error.ts');
  try {
    if (importFrom !== undefined) await importFleet(importFrom, databaseUrl);
    else
      start(({ onSharedShard, ...options }) =>
        PostgresEngine.open(databaseUrl, {
          ...options,
          serves: serving && { shard: serving.shard, onSharedShard },
        }),
      );
  } catch (error) {
    const { code, message } = failureOf(error);
    tell({ failed: { code, message } });
  }
}

async function importFleet(from: string, to: string): Promise<void> {
  const { importFrom } = await import('./import/import.ts');
  tell({ imported: importFrom(from, to) });
}

interface EngineOptions {
  /** Called when another instance shows the same hosts. */
  readonly onSharedShard: () => void;
  /** Called with the number of jobs that were deleted early because their host has too many. */
  readonly onForgottenJobs: (jobs: number) => void;
}

function start(open: (options: EngineOptions) => Engine): void {
  const log = createLog(serving?.logLevel ?? 'silent');
  const stats = serving && ServerStats.attach(serving.stats).writer();
  const events = serving && new EventLog(log, serving.events);
  const engine = open({
    onSharedShard: () => {
      const { index, count } = serving?.shard ?? WHOLE_FLEET;
      events?.warn(
        'shard_shared',
        { shard: `${index}/${count}` },
        'another instance shows the same hosts: give each another metrics_shard',
      );
    },
    onForgottenJobs: (jobs) => stats?.forgottenJobs(jobs),
  });
  const presence = new Presence();
  const clients = new Clients();
  const fleet = serving && new FleetTable(serving.fleet, serving.exclude, serving.shard);
  const health = new StoreHealth(engine.place, events, stats);
  const publisher = new Publisher(fleet, presence, clients, health);
  if (serving) restoreFleet(engine, presence, publisher);
  if (databaseUrl === undefined) {
    for (const warning of protectFiles(dataDir)) log.warn(warning);
  }
  engine.doNotWait();
  const administration = new Administration(engine);
  const options = { engine, presence, publisher, health };
  const batches = new Batches({ ...options, administration, clients, stats, onLost });
  const housekeeping = serving && new Housekeeping({ ...options, batches });

  parentPort?.on('message', (message: StoreControl) => {
    if ('close' in message) return close();
    const { loop, ...client } = message.attach;
    clients.add(loop, client, serving ? engine.enrolled() : []);
    client.port.on('message', (operations: readonly Operation[]) => {
      // Another process may have created an unknown token since the last poll.
      if (operations.some(([name]) => name === 'authenticate')) {
        housekeeping?.followOtherProcesses();
      }
      batches.receive(client, operations);
    });
  });
  tell({ ready: true });

  function onLost(what: string): void {
    housekeeping?.close();
    const message = `${what}: was deleted or replaced while it was in use; what is written now would be lost`;
    tell({ failed: { code: 'database_gone', message } });
  }

  function close(): void {
    housekeeping?.close();
    batches.close();
    clients.close();
    engine.close();
    tell({ closed: true });
    parentPort?.close();
  }
}

function tell(status: StoreStatus): void {
  parentPort?.postMessage(status);
}
