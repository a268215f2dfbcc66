import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { Networks } from '../../../src/access/networks.ts';
import { AgentEndpoint } from '../../../src/loop/agents/endpoint.ts';
import { Store } from '../../../src/loop/doors/store.ts';
import type { StoreClient } from '../../../src/loop/doors/store-client.ts';
import { RequestBudget } from '../../../src/loop/http/request-budget.ts';
import { SocketLimit } from '../../../src/loop/http/socket-limit.ts';
import { type EventKind, EventLog } from '../../../src/platform/event-log.ts';
import { uws } from '../../../src/platform/uws.ts';
import { allocateFleetBuffer } from '../../../src/shared/fleet-layout.ts';
import {
  CELL,
  MESSAGE_TYPES,
  type MessageType,
  REFUSALS,
  REPORT_CODES,
  type Refusal,
  type ReportCode,
  ServerStats,
  STATS_CELLS,
} from '../../../src/shared/server-stats.ts';
import { temporaryDirectory } from '../../support/serve.ts';

/** The agents' endpoint in the thread of the test, before a real store in a thread of its own. */
export class EndpointRig {
  readonly dataDir: string;
  readonly store: Store;
  readonly client: StoreClient;
  readonly endpoint: AgentEndpoint;
  /** Of the jobs that the histogram was told. */
  readonly observed: number[] = [];
  /** The lines of the log. */
  readonly logged: Readonly<Record<string, unknown>>[] = [];
  readonly #sockets = SocketLimit.allocate();
  readonly #stats: ServerStats;
  #url = '';

  private constructor(
    dataDir: string,
    store: Store,
    stats: ServerStats,
    events: SharedArrayBuffer,
    trustedProxies: readonly string[],
  ) {
    this.dataDir = dataDir;
    this.store = store;
    this.#stats = stats;
    const counter = stats.writer();
    this.client = store.connect(counter);
    this.endpoint = new AgentEndpoint({
      store: this.client,
      stats: counter,
      events: new EventLog(
        pino({}, { write: (line: string) => void this.logged.push(JSON.parse(line)) }),
        events,
      ),
      requests: new RequestBudget(),
      sockets: new SocketLimit(this.#sockets, () => {}),
      proxies: new Networks(trustedProxies, 'trusted_proxies'),
      observeJob: (_kind, _status, durationMs) => this.observed.push(durationMs),
    });
  }

  static async start({
    trustedProxies = [],
  }: {
    trustedProxies?: readonly string[];
  } = {}): Promise<EndpointRig> {
    const dataDir = temporaryDirectory();
    const stats = ServerStats.create();
    const events = EventLog.allocate();
    const store = await Store.open({
      missing: 'create',
      dataDir,
      serving: {
        fleet: allocateFleetBuffer(),
        exclude: [],
        shard: { index: 0, count: 1 },
        stats: stats.buffer,
        events,
        logLevel: 'silent',
      },
    });
    const rig = new EndpointRig(dataDir, store, stats, events, trustedProxies);
    await rig.client.ready;
    const app = uws().App();
    rig.endpoint.mount(app);
    rig.#url = await new Promise((resolve, reject) =>
      app.listen('127.0.0.1', 0, (socket) => {
        if (socket === false) return reject(new Error('cannot listen'));
        resolve(`http://127.0.0.1:${uws().us_socket_local_port(socket)}/ws/agent`);
      }),
    );
    onTestFinished(async () => {
      await rig.endpoint.drain(0);
      app.close();
      await store.close();
    });
    return rig;
  }

  get url(): string {
    return this.#url;
  }

  get agentUrl(): string {
    return this.#url.replace('http', 'ws');
  }

  /** How many sockets count as open. */
  get openSockets(): number {
    return new Int32Array(this.#sockets)[0] ?? 0;
  }

  /** How often something was refused for this reason. */
  refused(reason: Refusal): number {
    return this.#counted(CELL.refusals + REFUSALS.indexOf(reason));
  }

  /** How many messages of this type were received. */
  received(type: MessageType): number {
    return this.#counted(CELL.messages + MESSAGE_TYPES.indexOf(type));
  }

  /** How many requests with messages were answered with this status. */
  answered(code: ReportCode): number {
    return this.#counted(CELL.reports + REPORT_CODES.indexOf(code));
  }

  /** The lines of the log about this event. */
  events(event: EventKind): Readonly<Record<string, unknown>>[] {
    return this.logged.filter((line) => line.event === event);
  }

  #counted(cell: number): number {
    const cells = new Float64Array(STATS_CELLS);
    this.#stats.read(cells);
    return cells[cell] ?? 0;
  }

  /** Enrols a host; @returns its token */
  async enrol(host: string): Promise<string> {
    const [added] = await this.client.submit('addHosts', { hosts: [host] });
    if (added === undefined) throw new Error('nobody was added');
    return added.token;
  }

  async hostId(name: string): Promise<string> {
    const listed = await this.client.submit('listHosts', null);
    const found = listed.find(({ host }) => host === name);
    if (found === undefined) throw new Error(`no host ${name}`);
    return found.hostId;
  }

  /**
   * Enrols a host as another process would, and this loop is not told.
   * @returns its token
   */
  enrolUnnoticed(host: string): string {
    const token = `rmh_${host}`;
    this.#write(
      'INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES (?, ?, ?, 0)',
      host,
      host,
      createHash('sha256').update(token).digest(),
    );
    return token;
  }

  /** Removes a host as another process would, and neither the store nor this loop is told. */
  removeUnnoticed(host: string): void {
    this.#write('DELETE FROM hosts WHERE host = ?', host);
  }

  #write(statement: string, ...values: SQLInputValue[]): void {
    const db = new DatabaseSync(join(this.dataDir, 'fleet.db'), { timeout: 5_000 });
    db.prepare(statement).run(...values);
    db.close();
  }

  /** As another process that writes to the database: the store has to wait until the returned function is called. */
  lockDatabase(): () => void {
    const db = new DatabaseSync(join(this.dataDir, 'fleet.db'), { timeout: 5_000 });
    db.exec('BEGIN IMMEDIATE');
    return () => {
      db.exec('ROLLBACK');
      db.close();
    };
  }

  /** The jobs in the database. */
  get jobs(): string[] {
    const db = new DatabaseSync(join(this.dataDir, 'fleet.db'), { timeout: 5_000 });
    const rows = db.prepare('SELECT job_id FROM jobs ORDER BY job_id').all();
    db.close();
    return rows.map((row) => String(row.job_id));
  }
}
