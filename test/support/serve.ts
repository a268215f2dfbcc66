import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
export const TOKEN = 'a-token-for-tests';

export type Variables = Readonly<Record<string, string>>;

/** Has `end` called when what owns a resource is over: a test, unless something else is said. */
export type AtEnd = (end: () => void) => void;

/** A directory that goes with the test. */
export function temporaryDirectory(atEnd: AtEnd = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-test-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** `restic-manager serve` as a process of its own, ended with the test. */
export class Served {
  readonly dataDir: string;
  readonly url: string;
  readonly metricsUrl: string;
  readonly #process: ChildProcess;
  readonly #log: string[];

  private constructor(
    dataDir: string,
    lines: readonly string[],
    process: ChildProcess,
    log: string[],
  ) {
    this.dataDir = dataDir;
    this.url = lines[0]?.replace('listening on ', '') ?? '';
    this.metricsUrl = lines[1]?.replace('metrics on ', '') ?? `${this.url}/metrics`;
    this.#process = process;
    this.#log = log;
  }

  static async start(
    variables: Variables = {},
    dataDir = temporaryDirectory(),
    atEnd: AtEnd = onTestFinished,
  ): Promise<Served> {
    const env: Record<string, string | undefined> = {
      ...ownVariables(),
      RM_LISTEN: '127.0.0.1:0',
      RM_DATA_DIR: dataDir,
      RM_METRICS_TOKEN: TOKEN,
      ...variables,
    };
    const child = spawn(process.execPath, [CLI, 'serve'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    atEnd(() => void child.kill('SIGKILL'));
    const log: string[] = [];
    child.stderr.on('data', (chunk) => log.push(String(chunk)));
    const wanted = env.RM_METRICS_LISTEN ? 2 : 1;
    const lines = await firstLines(child, wanted, log);
    return new Served(dataDir, lines, child, log);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get log(): string {
    return this.#log.join('');
  }

  get agentUrl(): string {
    return `${this.url.replace('http', 'ws')}/ws/agent`;
  }

  /** @returns the exit code, or the signal that ended it */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
      this.#process.once('exit', (code, by) => resolve(code ?? by)),
    );
    if (this.#process.exitCode !== null) return this.#process.exitCode;
    this.#process.kill(signal);
    return exited;
  }

  /** The body of a scrape that passes the gate. */
  async scrape(): Promise<string> {
    const response = await fetch(this.metricsUrl, {
      headers: { Authorization: `Bearer ${TOKEN}` },
    });
    if (response.status !== 200) throw new Error(`scrape: ${response.status}`);
    return response.text();
  }

  async addHost(host: string): Promise<{ host_id: string; host: string; token: string }> {
    const { stdout } = await cli(['hosts', 'add', host], { RM_DATA_DIR: this.dataDir });
    return JSON.parse(stdout);
  }
}

/**
 * One server for all tests of the enclosing `describe`, for those that leave nothing behind that another
 * one could see. @returns how a test gets at it
 */
export function servedForAll(variables: Variables | (() => Variables) = {}): () => Served {
  const ends: (() => void)[] = [];
  const atEnd: AtEnd = (end) => ends.push(end);
  let served: Served | undefined;
  beforeAll(async () => {
    const own = typeof variables === 'function' ? variables() : variables;
    served = await Served.start(own, temporaryDirectory(atEnd), atEnd);
  });
  afterAll(() => {
    for (const end of ends.reverse()) end();
  });
  return () => {
    if (served === undefined) throw new Error('to be called from a test');
    return served;
  };
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `restic-manager ARGS` to its end. */
export function cli(args: readonly string[], variables: Variables = {}): Promise<CliResult> {
  return new Promise((resolve) => {
    const env = { ...ownVariables(), ...variables };
    // What should end and does not is killed, so that it shows as an exit code of -1.
    const options = { env, timeout: 30_000, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** Tries until `check` returns something, and gives up after a while with what it last threw. */
export async function eventually<T>(check: () => T | Promise<T>, patienceMs = 20_000): Promise<T> {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** The value of one series of a scrape, by its exact text; undefined if it has no row. */
export function sample(body: string, series: string): number | undefined {
  const line = body.split('\n').find((row) => row.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Without the settings of whoever runs the tests. */
function ownVariables(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('RM_')),
  );
}

function firstLines(child: ChildProcess, count: number, log: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const lines = text.split('\n');
      if (lines.length > count) resolve(lines.slice(0, count));
    });
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${log.join('')}`)));
  });
}
