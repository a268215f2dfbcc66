import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { vi } from 'vitest';
import type {
  Answer,
  Operation,
  OperationName,
  Outcome,
  Request,
  StoreMessage,
} from '../../src/contract/operations.ts';
import { CONNECTIONS_PER_LOOP } from '../../src/contract/operations.ts';
import { EventLog } from '../../src/platform/event-log.ts';
import type { Logger } from '../../src/platform/log.ts';
import { FleetReader } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { CELL, ServerStats, STATS_CELLS } from '../../src/shared/server-stats.ts';
import { Administration } from '../../src/store-thread/administration.ts';
import { Batches } from '../../src/store-thread/batches.ts';
import { type Client, Clients } from '../../src/store-thread/clients.ts';
import type { Engine } from '../../src/store-thread/engine.ts';
import { Housekeeping } from '../../src/store-thread/housekeeping.ts';
import { Presence } from '../../src/store-thread/presence.ts';
import { Publisher } from '../../src/store-thread/publisher.ts';
import { restoreFleet } from '../../src/store-thread/restore-fleet.ts';
import { StoreHealth } from '../../src/store-thread/store-health.ts';
import { CopyingReader } from '../support/copying-reader.ts';
import { decodeFleet, type ShownHost } from '../support/decode-fleet.ts';

export const AT = Date.UTC(2026, 0, 2);

/** The store of a control plane on an engine, in the thread of the test, with some loops that are its clients. */
export class StoreRig {
  readonly presence: Presence;
  /** The messages of events that were logged. */
  readonly logged: string[] = [];
  /** What of the database was found to be gone. */
  readonly lost: string[] = [];
  readonly batches: Batches;
  readonly #stats = ServerStats.create();
  readonly #fleet = new FleetTable();
  readonly #loops: { client: Client; port: MessagePort }[] = [];
  readonly #keepHouse: () => Housekeeping;
  #housekeeping: Housekeeping;
  #connections = 0;

  constructor(engine: Engine, loops = 1) {
    const presence = new Presence(() => engine.now());
    this.presence = presence;
    const clients = new Clients();
    const note = (_: unknown, message: string) => void this.logged.push(message);
    const log = { info: note, warn: note, error: note } as unknown as Logger;
    const stats = this.#stats.writer();
    const health = new StoreHealth(engine.place, new EventLog(log, EventLog.allocate()), stats);
    const publisher = new Publisher(
      { fleet: this.#fleet, others: undefined },
      presence,
      clients,
      health,
    );
    const shared = { engine, presence, publisher, health };
    restoreFleet(engine, presence, publisher);
    engine.doNotWait();
    this.batches = new Batches({
      ...shared,
      administration: new Administration(engine),
      clients,
      stats,
      onLost: (what) => this.lost.push(what),
    });
    const { batches } = this;
    this.#keepHouse = () => new Housekeeping({ ...shared, batches });
    this.#housekeeping = this.#keepHouse();
    for (let loop = 0; loop < loops; loop++) {
      const { port1, port2 } = new MessageChannel();
      const client = { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) };
      clients.add(loop, client, engine.enrolled());
      this.#loops.push({ client, port: port2 });
    }
  }

  close(): void {
    this.#housekeeping.close();
    this.batches.close();
    for (const { client, port } of this.#loops) {
      client.port.close();
      port.close();
    }
  }

  /** Some days pass. Housekeeping starts anew each day: to run it 20 times a second for a month would take minutes. */
  passDays(days: number): void {
    for (let day = 0; day < days; day++) {
      this.#housekeeping.close();
      vi.advanceTimersByTime(24 * 60 * 60 * 1_000);
      this.#housekeeping = this.#keepHouse();
    }
  }

  /** Submits some operations in one turn of a loop; @returns their outcomes */
  submitAll(operations: readonly Operation[], loop = 0): readonly Outcome[] {
    const { client } = this.#loop(loop);
    this.batches.receive(client, operations);
    const answered = this.received(loop).find((message) => 'outcomes' in message);
    return answered !== undefined && 'outcomes' in answered ? answered.outcomes : [];
  }

  /** @throws Error if the operation fails */
  submit<N extends OperationName>(name: N, request: Request<N>, loop = 0): Answer<N> {
    const [outcome] = this.submitAll([[name, request] as unknown as Operation], loop);
    if (outcome === undefined || 'failure' in outcome) throw new Error(outcome?.failure.message);
    return outcome.answer as Answer<N>;
  }

  /** Sends what a loop submits in one turn to the port, where the store finds it when it next fills a batch. */
  post(operations: readonly Operation[], loop = 0): void {
    this.#loop(loop).port.postMessage(operations);
  }

  /** What the store has sent to a loop since the last call. */
  received(loop = 0): StoreMessage[] {
    const messages: StoreMessage[] = [];
    for (;;) {
      const next = receiveMessageOnPort(this.#loop(loop).port);
      if (next === undefined) return messages;
      messages.push(next.message);
    }
  }

  enrol(host: string): string {
    const [added] = this.submit('addHosts', { hosts: [host] });
    return added?.hostId ?? '';
  }

  /** Enrols a host and says hello for it. */
  online(host: string, loop = 0): string {
    const hostId = this.enrol(host);
    this.hello(hostId, loop);
    return hostId;
  }

  /** @returns the connection */
  hello(hostId: string, loop = 0): number {
    const connection = loop * CONNECTIONS_PER_LOOP + ++this.#connections;
    this.submit('hello', { hostId, connection, agent: { agentVersion: '1', hostname: 'x' } }, loop);
    return connection;
  }

  /** What the store has counted. */
  counted(cell: 'storeFailures' | 'answered'): number | undefined {
    const cells = new Float64Array(STATS_CELLS);
    this.#stats.read(cells);
    return cells[CELL[cell]];
  }

  /** What `rm_hosts_pending` shows. */
  get pending(): number {
    return new FleetReader(this.#fleet.buffer).pendingHosts;
  }

  /** What a scrape shows. */
  get shown(): ShownHost[] {
    return decodeFleet(new CopyingReader(this.#fleet.buffer).read());
  }

  /** @returns what a scrape shows of the host */
  host(name: string): ShownHost | undefined {
    return this.shown.find(({ host }) => host === name);
  }

  /** The open alerts of a host, as `hosts list` names them. */
  alerts(host: string): readonly string[] {
    const listed = this.submit('listHosts', null);
    return listed.find((one) => one.host === host)?.openAlerts ?? [];
  }

  #loop(loop: number) {
    const found = this.#loops[loop];
    if (found === undefined) throw new RangeError(`there is no loop ${loop}`);
    return found;
  }
}
