import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { METRICS_TOKEN } from '../soak/server.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const SCRAPE_LIMIT_MS = 10_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const COUNT = /^rm_job_duration_seconds_count\{[^}]*\} (\d+)$/gm;

export interface EnrolledHost {
  readonly host_id: string;
  readonly token: string;
}

/** A real `restic-manager serve` on the cluster. It ends when this process ends. */
export class ControlPlane {
  /** `ws://HOST:PORT/ws/agent` */
  readonly agentUrl: string;
  /** The lines of its log. */
  readonly log: readonly string[];
  readonly #url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, child: ChildProcess, log: readonly string[]) {
    this.#url = url;
    this.agentUrl = `${url.replace('http', 'ws')}/ws/agent`;
    this.#process = child;
    this.log = log;
  }

  static async start(databaseUrl: string, shard: string): Promise<ControlPlane> {
    const env = {
      ...ownVariables(),
      RM_LISTEN: '127.0.0.1:0',
      RM_DATABASE_URL: databaseUrl,
      RM_METRICS_SHARD: shard,
      RM_METRICS_TOKEN: METRICS_TOKEN,
    };
    const child = spawn(process.execPath, ['--max-semi-space-size=4', CLI, 'serve'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    process.once('exit', () => child.kill('SIGKILL'));
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    const url = await new Promise<string>((resolve, reject) => {
      child.once('close', () => reject(new Error(`serve ended: ${log.join('\n')}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [, url] = /^listening on (.+)$/.exec(line) ?? [];
        if (url !== undefined) resolve(url);
      });
    });
    return new ControlPlane(url, child, log);
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Number of finishes in its histogram. */
  async counted(): Promise<number> {
    const response = await fetch(`${this.#url}/metrics`, {
      headers: { Authorization: `Bearer ${METRICS_TOKEN}` },
      signal: AbortSignal.timeout(SCRAPE_LIMIT_MS),
    });
    if (response.status !== 200) throw new Error(`the scrape was answered with ${response.status}`);
    const counts = (await response.text()).matchAll(COUNT);
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** @returns the exit code, or the signal that ended it */
  async stop(): Promise<number | string | null> {
    const ended = new Promise<number | string | null>((resolve) =>
      this.#process.once('close', (code, signal) => resolve(code ?? signal)),
    );
    this.#process.kill('SIGTERM');
    return ended;
  }
}

/** Enrols hosts with `restic-manager hosts add`. */
export function addHosts(databaseUrl: string, names: readonly string[]): Promise<EnrolledHost[]> {
  return new Promise((resolve, reject) => {
    const command = execFile(
      process.execPath,
      [CLI, 'hosts', 'add', '--stdin'],
      {
        env: { ...ownVariables(), RM_DATABASE_URL: databaseUrl },
        maxBuffer: MAX_OUTPUT_BYTES,
      },
      (error, stdout, stderr) => {
        if (error !== null) return reject(new Error(`hosts add failed: ${stderr}`));
        resolve(
          stdout
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
        );
      },
    );
    command.stdin?.end(names.join('\n'));
  });
}

/** The environment without RM_* variables, so that the server takes no settings from the shell. */
function ownVariables(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('RM_')),
  );
}
