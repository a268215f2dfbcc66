import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePort } from './free-port.ts';
import { missing } from './programs.ts';
import { eventually, temporaryDirectory } from './serve.ts';

const BY_NAME = { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } };
/** The reason to skip tests that need pgbouncer: it is not installed. Empty if it is. */
export const NO_PGBOUNCER = missing('pgbouncer');

/** pgbouncer in front of a PostgreSQL server of a test. It ends with the test. */
export class Pgbouncer {
  readonly port: number;
  readonly #directory: string;
  #process: ChildProcess | undefined;

  readonly #mode: string;

  private constructor(directory: string, port: number, mode: string) {
    this.#directory = directory;
    this.port = port;
    this.#mode = mode;
  }

  static async start(postgresPort: number, mode: 'session' | 'transaction'): Promise<Pgbouncer> {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o755);
    const port = await freePort();
    writeFileSync(join(directory, 'users.txt'), '"rm" ""\n');
    const bouncer = new Pgbouncer(directory, port, mode);
    bouncer.#configure(postgresPort);
    onTestFinished(() => bouncer.stop());
    await bouncer.run();
    return bouncer;
  }

  async run(): Promise<void> {
    // It refuses to run as root.
    const user = process.getuid?.() === 0 ? ['--user', 'nobody'] : [];
    this.#process = spawn(
      'pgbouncer',
      ['--quiet', ...user, join(this.#directory, 'pgbouncer.ini')],
      {
        ...BY_NAME,
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    await eventually(() => canConnect(this.port));
  }

  /** From now on, transactions run on this server. The connections of clients stay open. */
  use(postgresPort: number): void {
    this.#configure(postgresPort);
    this.#process?.kill('SIGHUP');
  }

  #configure(postgresPort: number): void {
    writeFileSync(
      join(this.#directory, 'pgbouncer.ini'),
      `[databases]
* = host=127.0.0.1 port=${postgresPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${this.port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(this.#directory, 'users.txt')}
pool_mode = ${this.#mode}
`,
    );
  }

  stop(): void {
    this.#process?.kill('SIGKILL');
  }

  url(database: string): string {
    return `postgres://rm@127.0.0.1:${this.port}/${new URL(database).pathname.slice(1)}`;
  }
}

function canConnect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
