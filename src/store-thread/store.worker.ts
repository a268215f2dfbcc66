import { resolve } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Imported, Operation } from '../contract/operations.ts';
import { type Shard, WHOLE_FLEET } from '../contract/shard.ts';
import { EventLog } from '../platform/event-log.ts';
import { silenceExperimentalWarnings } from '../platform/experimental-warnings.ts';
import { createLog } from '../platform/log.ts';
import { FleetTable } from '../shared/fleet-table.ts';
import { ServerStats } from '../shared/server-stats.ts';
import { Administration } from './administration.ts';
import { Batches } from './batches.ts';
import { Clients } from './clients.ts';
import type { Engine, Missing } from './engine.ts';
import { Housekeeping } from './housekeeping.ts';
import { Presence } from './presence.ts';
import { Publisher, type ShownIn } from './publisher.ts';
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
  /** What happens if there is no database. */
  readonly missing: Missing;
  /** The data directory of a fleet to import into `databaseUrl`. The thread does only that, and then ends. */
  readonly importFrom?: string | undefined;
  /** Set by a control plane. Without it the thread only serves the `hosts` commands. */
  readonly serving: ServingData | undefined;
}

export interface ServingData {
  /** The fleet table, which only this thread writes. */
  readonly fleet: SharedArrayBuffer;
  /** The table of the hosts that only the API shows; undefined if there is no API. */
  readonly others?: SharedArrayBuffer | undefined;
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

export interface OpenedDatabase {
  /** Path of the file, or address of the PostgreSQL database without user and password. */
  readonly path: string;
  /** Whether this process has created it: the file, or the tables in PostgreSQL. */
  readonly isNew: boolean;
  /** Number of hosts, including pending ones; undefined in a process that does not serve. */
  readonly hosts: number | undefined;
}

/** A message from the thread to the `Store` handle. */
export type StoreStatus =
  | { readonly ready: OpenedDatabase }
  | { readonly closed: true }
  | { readonly imported: Imported }
  | { readonly failed: { readonly code: string; readonly message: string } };

const { dataDir, databaseUrl, missing, importFrom, serving }: StoreThreadData = workerData;

silenceExperimentalWarnings();

if (databaseUrl === undefined) {
  try {
    start(({ onForgottenJobs }) =>
      SqliteEngine.open(dataDir, { serves: serving !== undefined, onForgottenJobs }, missing),
    );
  } catch (error) {
    tell({ failed: describeError(error) });
  }
} else {
  // Imported only here, so that it costs neither memory nor time with SQLite, the default.
  const { PostgresEngine } = await import('./postgres/engine.ts');
  const { failureOf } = await import('./postgres/database-error.ts');
  try {
    if (importFrom !== undefined) await importFleet(importFrom, databaseUrl);
    else
      start(({ onSharedShard, ...options }) => {
        const serves = serving && { shard: serving.shard, onSharedShard };
        return PostgresEngine.open(databaseUrl, { ...options, serves }, missing);
      });
  } catch (error) {
    const { code, message } = failureOf(error);
    tell({ failed: { code, message } });
  }
}

async function importFleet(from: string, to: string): Promise<void> {
  const { importFrom } = await import('./import/import.ts');
  tell({ imported: importFrom(from, to) });
}

function tablesOf({ fleet, others, exclude, shard }: ServingData): ShownIn {
  // The API shows what excluded families would show.
  const unneeded = others === undefined ? exclude : [];
  return {
    fleet: new FleetTable(fleet, unneeded, shard),
    others: others && new FleetTable(others),
  };
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
        'another instance shows the same hosts; set a different metrics_shard for each instance',
      );
    },
    onForgottenJobs: (jobs) => stats?.forgottenJobs(jobs),
  });
  const presence = new Presence(() => engine.now());
  const clients = new Clients();
  const shownIn = serving && tablesOf(serving);
  const health = new StoreHealth(engine.place, events, stats);
  const publisher = new Publisher(shownIn, presence, clients, health);
  const hosts = serving && restoreFleet(engine, presence, publisher);
  if (databaseUrl === undefined) {
    for (const warning of protectFiles(dataDir)) log.warn(warning);
  }
  engine.doNotWait();
  const administration = new Administration(engine);
  const parts = { engine, presence, publisher, health };
  const batches = new Batches({ ...parts, administration, clients, stats, onLost });
  const housekeeping = serving && new Housekeeping({ ...parts, batches });

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
  const path = databaseUrl === undefined ? resolve(engine.place) : engine.place;
  tell({ ready: { path, isNew: engine.isNew, hosts } });

  function onLost(what: string): void {
    housekeeping?.close();
    const message = `${what}: was deleted or replaced while it was in use; anything written now would be lost`;
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
