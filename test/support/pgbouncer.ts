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
  readonly #file: string;
  #process: ChildProcess | undefined;

  private constructor(file: string, port: number) {
    this.#file = file;
    this.port = port;
  }

  static async start(postgresPort: number, mode: 'session' | 'transaction'): Promise<Pgbouncer> {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o755);
    const port = await freePort();
    const users = join(directory, 'users.txt');
    writeFileSync(users, '"rm" ""\n');
    const file = join(directory, 'pgbouncer.ini');
    writeFileSync(
      file,
      `[databases]
* = host=127.0.0.1 port=${postgresPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = ${mode}
`,
    );
    const bouncer = new Pgbouncer(file, port);
    onTestFinished(() => bouncer.stop());
    await bouncer.run();
    return bouncer;
  }

  async run(): Promise<void> {
    // It refuses to run as root.
    const user = process.getuid?.() === 0 ? ['--user', 'nobody'] : [];
    this.#process = spawn('pgbouncer', ['--quiet', ...user, this.#file], {
      ...BY_NAME,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await eventually(() => canConnect(this.port));
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
