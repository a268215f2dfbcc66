import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { errorCode, messageOf, RmError } from '../errors.ts';
import { FleetTable } from '../metrics/fleet-table.ts';
import { isBeingServed, lockForServing, openDatabase, transaction } from './database.ts';
import { FleetDatabase } from './fleet-database.ts';
import {
  type Answer,
  CONNECTIONS_PER_LOOP,
  type Disconnect,
  type Enrolments,
  type Operation,
  type OperationName,
  type Outcome,
  type StoreMessage,
} from './operations.ts';

/** What the store thread is started with. */
export interface StoreThreadData {
  readonly dataDir: string;
  /** Serving: the fleet table to keep. Without it the thread only administers the database. */
  readonly fleet: SharedArrayBuffer | undefined;
}

/** From the handle to the thread. */
export type StoreControl =
  | { readonly attach: { loop: number; port: MessagePort; progress: Int32Array } }
  | { readonly close: true };

/** From the thread to the handle. */
export type StoreStatus =
  | { readonly ready: true }
  | { readonly closed: true }
  | { readonly failed: { readonly code: string; readonly message: string } };

interface Client {
  readonly port: MessagePort;
  /** `progress[0]` counts the operations that were answered; a loop that is far ahead waits on it. */
  readonly progress: Int32Array;
}

/** Operations in one transaction at the most: a longer one would only delay its acknowledgements. */
const BATCH_LIMIT = 1_000;
const EXTERNAL_CHANGE_POLL_MS = 50;
const OFFLINE_ALERT_POLL_MS = 5_000;
const PRUNE_POLL_MS = 60_000;
const PRUNE_PAUSE_MS = 100;

const { dataDir, fleet: fleetBuffer }: StoreThreadData = workerData;
const clients = new Map<number, Client>();
/** The connection of each host that is online. */
const online = new Map<string, number>();

try {
  start();
} catch (error) {
  tell({ failed: describe(error) });
}

function start(): void {
  const db = openDatabase(dataDir);
  const lock = fleetBuffer && lockForServing(dataDir);
  const fleet = fleetBuffer && new FleetTable(fleetBuffer);
  const database = new FleetDatabase(db);
  const timers: NodeJS.Timeout[] = [];
  /** All hosts that the loops know. */
  const enrolled = new Set(fleet && database.enrolled().map(([hostId]) => hostId));
  if (fleet) {
    transaction(db, () => database.forgetConnections());
    for (const host of database.hosts()) fleet.upsert(host);
    timers.push(
      setInterval(followOtherProcesses, EXTERNAL_CHANGE_POLL_MS),
      setInterval(alertOffline, OFFLINE_ALERT_POLL_MS),
    );
    prune();
  }

  parentPort?.on('message', (message: StoreControl) => {
    if ('close' in message) return close();
    const { loop, port, progress } = message.attach;
    clients.set(loop, { port, progress });
    send(port, { enrolments: { added: fleet ? database.enrolled() : [], removed: [] } });
    port.on('message', (operations: readonly Operation[]) => takeAll(port, operations));
  });
  tell({ ready: true });

  /** Everything that is waiting, of all loops, goes into one transaction: an fsync is what costs. */
  function takeAll(firstPort: MessagePort, first: readonly Operation[]): void {
    const batches = [{ port: firstPort, operations: first }];
    let count = first.length;
    for (const { port } of clients.values()) {
      while (count < BATCH_LIMIT) {
        const next: { message: readonly Operation[] } | undefined = receiveMessageOnPort(port);
        if (next === undefined) break;
        batches.push({ port, operations: next.message });
        count += next.message.length;
      }
    }
    const outcomes = commit(batches.flatMap(({ operations }) => operations));
    let start = 0;
    for (const { port, operations } of batches) {
      const end = start + operations.length;
      send(port, { outcomes: outcomes.slice(start, end) });
      countProgress(port, operations.length);
      start = end;
    }
  }

  /** Outcomes in the order of the operations; what they answer is on disk and in the fleet table. */
  function commit(operations: readonly Operation[]): Outcome[] {
    let answers: Answer<OperationName>[];
    database.touched.clear();
    try {
      answers = transaction(db, () => operations.map(apply));
    } catch (error) {
      // One by one, so that an operation that cannot be done does not take its neighbours with it.
      if (operations.length > 1) return operations.flatMap((operation) => commit([operation]));
      return [{ failure: describe(error) }];
    }
    for (const [index, operation] of operations.entries()) {
      trackConnection(operation, answers[index]);
    }
    for (const hostId of database.touched) show(hostId);
    return answers.map((answer) => ({ answer }));
  }

  function apply([name, request]: Operation): Answer<OperationName> {
    if (name === 'listHosts') return asSeenNow(database.handlers.listHosts(request));
    // Name and request belong together by the type of Operation, which a look-up by name loses.
    const handler = database.handlers[name] as (request: unknown) => Answer<OperationName>;
    return handler(request);
  }

  /** Without a control plane nobody is online, whatever the last one left behind when it was killed. */
  function asSeenNow(hosts: Answer<'listHosts'>): Answer<'listHosts'> {
    if (fleet || isBeingServed(dataDir)) return hosts;
    return hosts.map((host) => (host.status === 'online' ? { ...host, status: 'offline' } : host));
  }

  function trackConnection([name, request]: Operation, answer: unknown): void {
    if (name === 'hello' && answer !== 'gone') {
      const replaced = online.get(request.hostId);
      online.set(request.hostId, request.connection);
      if (replaced !== undefined && replaced !== request.connection) {
        disconnect({ connection: replaced, reason: 'replaced' });
      }
    } else if (name === 'goodbye' && online.get(request.hostId) === request.connection) {
      online.delete(request.hostId);
    } else if (name === 'addHost') {
      const { hostId } = answer as Answer<'addHost'>;
      const digest = database.tokenDigest(hostId);
      if (digest) follow([[hostId, digest]], []);
    } else if (name === 'removeHost') {
      follow([], [request.hostId]);
    }
  }

  /** Takes notice of hosts that were enrolled or removed, by us or by another process. */
  function follow(added: Enrolments['added'], removed: Enrolments['removed']): void {
    for (const [hostId] of added) enrolled.add(hostId);
    for (const hostId of removed) {
      enrolled.delete(hostId);
      fleet?.remove(hostId);
      const connection = online.get(hostId);
      online.delete(hostId);
      if (connection !== undefined) disconnect({ connection, reason: 'removed' });
    }
    for (const { port } of clients.values()) send(port, { enrolments: { added, removed } });
  }

  function show(hostId: string): void {
    if (!fleet) return;
    const host = database.host(hostId);
    if (host === undefined) fleet.remove(hostId);
    else fleet.upsert(host);
  }

  const dataVersionQuery = db.prepare('PRAGMA data_version');
  let dataVersion = currentDataVersion();

  /** `data_version` moves when another process commits: `hosts add` and `hosts remove` do. */
  function followOtherProcesses(): void {
    const version = currentDataVersion();
    if (version === dataVersion) return;
    dataVersion = version;
    const hosts = new Map(database.enrolled());
    const added = [...hosts].filter(([hostId]) => !enrolled.has(hostId));
    const removed = [...enrolled].filter((hostId) => !hosts.has(hostId));
    if (added.length + removed.length > 0) follow(added, removed);
  }

  function currentDataVersion(): number {
    return Number(dataVersionQuery.get()?.data_version);
  }

  let offlineCheckedUntil = 0;

  function alertOffline(): void {
    const now = Date.now();
    if (background(() => database.alertOffline(offlineCheckedUntil, now))) {
      offlineCheckedUntil = now;
    }
  }

  function prune(): void {
    let more = false;
    background(() => {
      more = database.pruneJobs(Date.now());
    });
    timers[2] = setTimeout(prune, more ? PRUNE_PAUSE_MS : PRUNE_POLL_MS);
  }

  /** Work that nobody waits for; if the disk does not let it, it is tried again at the next turn. */
  function background(work: () => void): boolean {
    database.touched.clear();
    try {
      transaction(db, work);
    } catch {
      return false;
    }
    for (const hostId of database.touched) show(hostId);
    return true;
  }

  function close(): void {
    for (const timer of timers) clearTimeout(timer);
    for (const { port } of clients.values()) port.close();
    db.close();
    lock?.close();
    tell({ closed: true });
    parentPort?.close();
  }
}

function disconnect(disconnect: Disconnect): void {
  const client = clients.get(Math.floor(disconnect.connection / CONNECTIONS_PER_LOOP));
  if (client) send(client.port, { disconnect });
}

function send(port: MessagePort, message: StoreMessage): void {
  port.postMessage(message);
}

function countProgress(port: MessagePort, answered: number): void {
  for (const client of clients.values()) {
    if (client.port !== port) continue;
    Atomics.add(client.progress, 0, answered);
    Atomics.notify(client.progress, 0);
  }
}

function tell(status: StoreStatus): void {
  parentPort?.postMessage(status);
}

function describe(error: unknown): { code: string; message: string } {
  const code = errorCode(error) ?? 'database_failed';
  return {
    code,
    message: error instanceof RmError ? error.message : `SQLite: ${messageOf(error)}`,
  };
}
