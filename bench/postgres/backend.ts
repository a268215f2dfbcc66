import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { PostgresServer } from '../../test/support/postgres-server.ts';
import type { ProxyData } from './proxy.worker.ts';

/** Clock ticks of /proc/PID/stat per second: USER_HZ, which is 100 on Linux. */
const TICKS_PER_SECOND = 100;
/** Positions of utime and stime after the name of the program; see proc(5). */
const UTIME = 11;
const STIME = 12;

/** The process of the server that serves the newest connection to a database. */
export class Backend {
  readonly #pid: string;

  constructor(server: PostgresServer, url: string) {
    this.#pid = server.sql(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'restic-manager'
       ORDER BY backend_start DESC LIMIT 1`,
      url,
    );
  }

  /** CPU milliseconds that it has spent, in steps of 10. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.#pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[UTIME]) + Number(fields[STIME]);
    return (ticks / TICKS_PER_SECOND) * 1_000;
  }
}

/**
 * A TCP proxy to a server of this machine that counts the bytes in both directions. It runs in its own
 * thread, because the engine blocks the thread that calls it.
 */
export class CountingProxy {
  readonly #worker: Worker;
  readonly #target: number;
  readonly #port: number;
  readonly #bytes: BigInt64Array;

  private constructor(worker: Worker, target: number, port: number, bytes: BigInt64Array) {
    this.#worker = worker;
    this.#target = target;
    this.#port = port;
    this.#bytes = bytes;
  }

  static async start(target: number): Promise<CountingProxy> {
    const bytes = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
    const workerData: ProxyData = { target, bytes };
    const worker = new Worker(new URL('./proxy.worker.ts', import.meta.url), { workerData });
    const [port] = await once(worker, 'message');
    return new CountingProxy(worker, target, port, bytes);
  }

  get bytes(): number {
    return Number(Atomics.load(this.#bytes, 0));
  }

  /** @param url a URL of the server */
  through(url: string): string {
    return url.replace(`:${this.#target}`, `:${this.#port}`);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
