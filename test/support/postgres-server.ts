import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

/** Debian does not put the programs of the server on the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/** The reason to skip what needs PostgreSQL: it is not installed. Empty if it is. */
export const NO_POSTGRES = findPrograms() === undefined ? 'PostgreSQL is not installed' : '';

function findPrograms(): string | undefined {
  if (spawnSync('initdb', ['--version']).status === 0) return '';
  if (!existsSync(DEBIAN)) return undefined;
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  const bins = versions.map((version) => join(DEBIAN, version, 'bin'));
  return bins.find((bin) => existsSync(join(bin, 'initdb')));
}

/**
 * A PostgreSQL server of its own, in a temporary directory, on a free port of the loopback interface. It
 * acknowledges nothing that is not on disk. The server refuses to run as root, so then it runs as
 * `nobody`.
 */
export class PostgresServer {
  readonly port: number;
  readonly #directory: string;
  #databases = 0;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.port = port;
  }

  /** @param settings lines of `postgresql.conf` */
  static async start(settings: readonly string[] = []): Promise<PostgresServer> {
    const directory = newDirectory();
    const server = new PostgresServer(directory, await freePort());
    const data = join(directory, 'data');
    server.#program('initdb', [
      '--pgdata',
      data,
      '--username=rm',
      '--auth=trust',
      '--encoding=UTF8',
      '--no-sync',
      '--locale=C',
    ]);
    server.#settings = settings;
    server.run();
    return server;
  }

  /**
   * Copies the server to another port, and starts the copy. The copy is like a standby that has received what is committed now
   * and that is then promoted.
   * @param isStandby whether it remains a standby, until `pg_promote()` is called in it
   */
  copy(port: number, { isStandby = false } = {}): PostgresServer {
    const directory = newDirectory();
    const server = new PostgresServer(directory, port);
    const data = join(directory, 'data');
    const from = ['--host=127.0.0.1', `--port=${this.port}`, '--username=rm'];
    server.#program('pg_basebackup', [
      ...from,
      `--pgdata=${data}`,
      '--checkpoint=fast',
      '--no-sync',
    ]);
    if (isStandby) writeFileSync(join(data, 'standby.signal'), '');
    server.run();
    return server;
  }

  #settings: readonly string[] = [];

  get isRunning(): boolean {
    return existsSync(join(this.#directory, 'data', 'postmaster.pid'));
  }

  run(): void {
    const options = [
      '-c listen_addresses=127.0.0.1',
      `-c port=${this.port}`,
      `-c unix_socket_directories=${this.#directory}`,
      ...this.#settings.map((setting) => `-c ${setting}`),
    ].join(' ');
    const log = join(this.#directory, 'log');
    this.#program('pg_ctl', [
      'start',
      '-w',
      '-D',
      join(this.#directory, 'data'),
      '-l',
      log,
      '-o',
      options,
    ]);
  }

  /** @param mode how to stop: `fast` ends the connections, `immediate` is like a crash */
  stop(mode: 'fast' | 'immediate' = 'fast'): void {
    this.#program('pg_ctl', ['stop', '-w', '-m', mode, '-D', join(this.#directory, 'data')]);
  }

  /** Creates an empty database. @returns its URL */
  createDatabase(): string {
    const name = `fleet_${++this.#databases}`;
    this.sql(`CREATE DATABASE ${name}`, 'postgres');
    return this.url(name);
  }

  /** Creates a directory in which the server may write. */
  ownDirectory(parent: string): string {
    const directory = join(parent, 'postgres');
    mkdirSync(directory, { mode: 0o700 });
    chmodSync(parent, 0o755);
    if (isRoot()) chownSync(directory, NOBODY, NOGROUP);
    return directory;
  }

  /**
   * Offers TLS with this certificate from now on.
   * @param parent a directory in which the server gets a copy of it
   */
  useCertificate(
    { certPem, keyPem }: { readonly certPem: string; readonly keyPem: string },
    parent: string,
  ): void {
    const directory = this.ownDirectory(parent);
    const settings = { ssl_cert_file: certPem, ssl_key_file: keyPem };
    for (const [setting, pem] of Object.entries(settings)) {
      const file = join(directory, setting);
      writeFileSync(file, pem, { mode: 0o600 });
      if (isRoot()) chownSync(file, NOBODY, NOGROUP);
      this.sql(`ALTER SYSTEM SET ${setting} = '${file}'`, 'postgres');
    }
    this.sql('ALTER SYSTEM SET ssl = on', 'postgres');
    this.sql('SELECT pg_reload_conf()', 'postgres');
  }

  url(database: string): string {
    return `postgres://rm@127.0.0.1:${this.port}/${database}`;
  }

  /** Runs SQL as a superuser. @returns the rows, one per line, with `|` between the columns */
  sql(sql: string, database: string): string {
    const url = database.startsWith('postgres:') ? database : this.url(database);
    return execFileSync('psql', ['--no-psqlrc', '-v', 'ON_ERROR_STOP=1', '-qAt', url], {
      input: sql,
      encoding: 'utf8',
    }).trim();
  }

  remove(): void {
    try {
      this.stop('immediate');
    } catch {
      // It was stopped by the test.
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #program(name: string, args: readonly string[]): void {
    const path = join(findPrograms() ?? '', name);
    const owner = isRoot() ? { uid: NOBODY, gid: NOGROUP } : {};
    // Not a pipe: the server would keep it open, and this would wait for its end.
    const { status, error } = spawnSync(path, args, {
      ...owner,
      cwd: this.#directory,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) throw new Error(`${name} failed`, { cause: error });
  }
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-postgres-'));
  chmodSync(directory, 0o755);
  if (isRoot()) chownSync(directory, NOBODY, NOGROUP);
  return directory;
}

const NOBODY = 65_534;
const NOGROUP = 65_534;

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
