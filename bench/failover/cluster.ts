import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../../test/support/free-port.ts';
import { killAll, killFamily, signalFamily } from './processes.ts';
import { programs } from './programs.ts';

/** The shortest times that Patroni accepts: https://patroni.readthedocs.io/en/latest/dynamic_configuration.html */
export const PATRONI_TIMES = { ttl: 20, loop_wait: 1, retry_timeout: 3 } as const;

/** PostgreSQL refuses to run as root. */
const NOBODY = 65_534;
const QUERY_LIMIT_MS = 2_000;
const POLL_MS = 50;
const START_LIMIT_MS = 90_000;
const DATABASE = 'fleet';
/** Lines of a log to show if the cluster does not start. */
const SHOWN_LINES = 15;
/** Lines of the log that describe a deadlock. */
const DEADLOCK_LINES = 16;

/** One PostgreSQL server and its Patroni. */
export interface Node {
  readonly name: string;
  readonly port: number;
  readonly restPort: number;
  readonly directory: string;
  patroni: ChildProcess | undefined;
}

/**
 * Three PostgreSQL servers under Patroni on the loopback interface, and one etcd. All data is in one
 * temporary directory. Everything ends when this process ends.
 */
export class Cluster {
  readonly nodes: readonly Node[];
  readonly directory: string;
  readonly #etcdPort: number;
  readonly #isStrict: boolean;
  readonly #processes: ChildProcess[] = [];

  private constructor(
    directory: string,
    nodes: readonly Node[],
    etcdPort: number,
    isStrict: boolean,
  ) {
    this.directory = directory;
    this.nodes = nodes;
    this.#etcdPort = etcdPort;
    this.#isStrict = isStrict;
  }

  /** @param isStrict value of Patroni's `synchronous_mode_strict` */
  static async start(isStrict: boolean): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'restic-manager-failover-'));
    const nodes: Node[] = [];
    for (const name of ['a', 'b', 'c']) {
      const [port, restPort] = [await freePort(), await freePort()];
      nodes.push({ name, port, restPort, directory: join(directory, name), patroni: undefined });
    }
    const cluster = new Cluster(directory, nodes, await freePort(), isStrict);
    process.once('exit', () => cluster.#remove());
    chmodSync(directory, 0o755);
    await cluster.#startEtcd();
    for (const node of nodes) {
      cluster.#configure(node);
      cluster.startPatroni(node);
      // The first one creates the database, so that the names of the nodes say who was primary first.
      if (node === nodes[0]) await cluster.#until('the primary', () => cluster.primary());
    }
    await cluster.untilRedundant();
    await cluster.query(await cluster.requirePrimary(), `CREATE DATABASE ${DATABASE}`, 'postgres');
    return cluster;
  }

  /** `database_url` of the control planes: it lists all servers. */
  get url(): string {
    const hosts = this.nodes.map(({ port }) => `127.0.0.1:${port}`);
    return `postgres://rm@${hosts.join(',')}/${DATABASE}`;
  }

  startPatroni(node: Node): void {
    const log = openSync(join(node.directory, 'patroni.log'), 'a');
    const child = spawn(programs.patroni, [join(node.directory, 'patroni.yml')], {
      ...owner(),
      cwd: node.directory,
      env: { ...process.env, HOME: node.directory, PGPASSFILE: join(node.directory, 'pgpass') },
      stdio: ['ignore', log, log],
      // A Ctrl-C must not reach it: this process ends it.
      detached: true,
    });
    child.on('error', () => {});
    this.#processes.push(child);
    node.patroni = child;
  }

  /** The only server that accepts writes; undefined if there is none, or more than one. */
  async primary(except?: Node): Promise<Node | undefined> {
    const asked = this.nodes.filter((node) => node !== except);
    const answers = await Promise.all(asked.map((node) => this.isPrimary(node)));
    const primaries = asked.filter((_, index) => answers[index]);
    return primaries.length === 1 ? primaries[0] : undefined;
  }

  async requirePrimary(): Promise<Node> {
    return this.#until('a primary', () => this.primary());
  }

  async isPrimary(node: Node): Promise<boolean> {
    try {
      const rows = await this.query(node, 'SELECT NOT pg_is_in_recovery()', 'postgres');
      return rows[0]?.[0] === true;
    } catch {
      return false;
    }
  }

  /** Waits until the primary has a synchronous standby, and all other servers follow it. */
  async untilRedundant(): Promise<{ primary: Node; synchronous: Node }> {
    return this.#until('a synchronous standby and another standby', async () => {
      const primary = await this.primary();
      if (primary === undefined) return undefined;
      const rows = await this.query(
        primary,
        "SELECT application_name, sync_state FROM pg_stat_replication WHERE state = 'streaming'",
        'postgres',
      ).catch(() => []);
      const name = rows.find(([, state]) => state === 'sync')?.[0];
      const synchronous = this.nodes.find((node) => node.name === name);
      if (synchronous === undefined || rows.length < this.nodes.length - 1) return undefined;
      return { primary, synchronous };
    });
  }

  /** Rows of a query on one server. */
  async query(node: Node, sql: string, database = DATABASE): Promise<unknown[][]> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: node.port,
      user: 'rm',
      database,
      connectionTimeoutMillis: QUERY_LIMIT_MS,
      query_timeout: 10 * QUERY_LIMIT_MS,
    });
    client.on('error', () => {});
    const timer = setTimeout(() => destroy(client), QUERY_LIMIT_MS);
    try {
      await client.connect();
      clearTimeout(timer);
      return (await client.query({ text: sql, rowMode: 'array' })).rows;
    } finally {
      clearTimeout(timer);
      destroy(client);
    }
  }

  /** Process id of the postmaster, or 0 if none runs. */
  postmaster(node: Node): number {
    try {
      return Number(
        readFileSync(join(node.directory, 'data/postmaster.pid'), 'utf8').split('\n')[0],
      );
    } catch {
      return 0;
    }
  }

  killPatroni(node: Node): void {
    node.patroni?.kill('SIGKILL');
  }

  killPostmaster(node: Node): void {
    process.kill(this.postmaster(node), 'SIGKILL');
  }

  /** Stops all processes of a node. Its connections stay open, and nothing answers. */
  freeze(node: Node): void {
    node.patroni?.kill('SIGSTOP');
    signalFamily(this.postmaster(node), 'SIGSTOP');
  }

  thaw(node: Node): void {
    signalFamily(this.postmaster(node), 'SIGCONT');
    node.patroni?.kill('SIGCONT');
  }

  /** The deadlocks in the logs of all PostgreSQL servers, with the statements. */
  deadlocks(): string[] {
    return this.nodes.flatMap(({ directory }) => {
      const logs = join(directory, 'log');
      if (!existsSync(logs)) return [];
      return readdirSync(logs).flatMap((name) => {
        const lines = readFileSync(join(logs, name), 'utf8').split('\n');
        return lines.flatMap((line, index) =>
          line.includes('deadlock detected')
            ? [lines.slice(index, index + DEADLOCK_LINES).join('\n    ')]
            : [],
        );
      });
    });
  }

  async #startEtcd(): Promise<void> {
    const [client, peer] = [`http://127.0.0.1:${this.#etcdPort}`, await freePort()];
    const peerUrl = `http://127.0.0.1:${peer}`;
    const data = join(this.directory, 'etcd');
    mkdirSync(data, { mode: 0o700 });
    const log = openSync(join(this.directory, 'etcd.log'), 'a');
    const options = {
      name: 'one',
      'data-dir': data,
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': `one=${peerUrl}`,
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(programs.etcd, args, { stdio: ['ignore', log, log], detached: true });
    child.on('error', () => {});
    this.#processes.push(child);
    await this.#until('etcd', async () => {
      const answer = await fetch(`${client}/health`).catch(() => undefined);
      return answer?.ok || undefined;
    });
  }

  #configure(node: Node): void {
    mkdirSync(node.directory, { mode: 0o700 });
    const superuser = { username: 'rm', password: 'rm' };
    const config = {
      scope: 'failover',
      name: node.name,
      restapi: { listen: `127.0.0.1:${node.restPort}` },
      etcd3: { hosts: `127.0.0.1:${this.#etcdPort}` },
      bootstrap: {
        dcs: {
          ...PATRONI_TIMES,
          maximum_lag_on_failover: 0,
          synchronous_mode: true,
          synchronous_mode_strict: this.#isStrict,
          postgresql: {
            use_pg_rewind: true,
            use_slots: true,
            parameters: {
              fsync: 'on',
              synchronous_commit: 'on',
              wal_log_hints: 'on',
              shared_buffers: '64MB',
              max_connections: 50,
              logging_collector: 'on',
            },
          },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, { auth: 'trust' }, { username: 'rm' }],
      },
      postgresql: {
        listen: `127.0.0.1:${node.port}`,
        connect_address: `127.0.0.1:${node.port}`,
        data_dir: join(node.directory, 'data'),
        bin_dir: programs.postgresDirectory,
        pgpass: join(node.directory, 'pgpass'),
        authentication: { superuser, replication: superuser, rewind: superuser },
        pg_hba: [
          'local all all trust',
          'host all all 127.0.0.1/32 trust',
          'host replication all 127.0.0.1/32 trust',
        ],
        parameters: {
          unix_socket_directories: node.directory,
          log_directory: join(node.directory, 'log'),
        },
      },
    };
    // JSON is YAML.
    const file = join(node.directory, 'patroni.yml');
    writeFileSync(file, JSON.stringify(config, null, 2));
    if (isRoot()) for (const path of [node.directory, file]) chownSync(path, NOBODY, NOBODY);
  }

  /** Calls `find` again until it returns a value. */
  async #until<T>(what: string, find: () => Promise<T | undefined>): Promise<T> {
    const endAt = performance.now() + START_LIMIT_MS;
    for (;;) {
      const found = await find();
      if (found !== undefined) return found;
      if (performance.now() > endAt) throw new Error(`no ${what} in time${this.#lastLines()}`);
      await sleep(POLL_MS);
    }
  }

  #lastLines(): string {
    return this.nodes
      .map(({ name, directory }) => {
        const file = join(directory, 'patroni.log');
        if (!existsSync(file)) return '';
        const lines = readFileSync(file, 'utf8').trim().split('\n').slice(-SHOWN_LINES);
        return lines.map((line) => `\n  ${name}: ${line}`).join('');
      })
      .join('');
  }

  /** Synchronous, because it runs when this process exits. */
  #remove(): void {
    // Patroni first, because it would start PostgreSQL again.
    killAll(this.#processes.map(({ pid }) => pid ?? 0));
    for (const node of this.nodes) killFamily(this.postmaster(node));
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

function destroy(client: pg.Client): void {
  (
    client as unknown as { connection: { stream: { destroy(): void } } }
  ).connection.stream.destroy();
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function owner(): { uid?: number; gid?: number } {
  return isRoot() ? { uid: NOBODY, gid: NOBODY } : {};
}
