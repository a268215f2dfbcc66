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

  /** @param runBy a program, with arguments, that runs the command behind it in its own place */
  static async start(
    variables: Variables = {},
    dataDir = temporaryDirectory(),
    atEnd: AtEnd = onTestFinished,
    runBy: readonly string[] = [],
  ): Promise<Served> {
    const env: Record<string, string | undefined> = {
      ...ownVariables(),
      RM_LISTEN: '127.0.0.1:0',
      RM_DATA_DIR: dataDir,
      RM_METRICS_TOKEN: TOKEN,
      ...variables,
    };
    const [program = process.execPath, ...args] = [...runBy, process.execPath, CLI, 'serve'];
    const child = spawn(program, args, {
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
  async exited(): Promise<number | NodeJS.Signals | null> {
    if (this.#process.exitCode !== null) return this.#process.exitCode;
    // `close` comes when the last of the log was read.
    return new Promise((resolve) => this.#process.once('close', (code, by) => resolve(code ?? by)));
  }

  /** @returns the exit code, or the signal that ended it */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const exited = this.exited();
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
export function cli(
  args: readonly string[],
  variables: Variables = {},
  input = '',
): Promise<CliResult> {
  return new Promise((resolve) => {
    const env = { ...ownVariables(), ...variables };
    // What should end and does not is killed, so that it shows as an exit code of -1.
    const options = {
      env,
      timeout: 30_000,
      killSignal: 'SIGKILL',
      maxBuffer: 64 * 1024 * 1024,
    } as const;
    const child = execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

export interface AddedHost {
  readonly host_id: string;
  readonly host: string;
  readonly token: string;
}

/** Enrols so many hosts by one command. */
export async function addHosts(dataDir: string, count: number): Promise<AddedHost[]> {
  const names = Array.from({ length: count }, (_, index) => `host-${index}`);
  const { stdout } = await cli(['hosts', 'add', ...names], { RM_DATA_DIR: dataDir });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
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

/**
 * A body without what it says about the server itself, and about scrapes: two scrapes of the same fleet are the same
 * in the rest.
 */
export function aboutFleet(body: string): string {
  const aboutServer = /^(# (HELP|TYPE) )?(nodejs_|process_|rm_agent_|rm_scrape|rm_store_)/;
  return body
    .split('\n')
    .filter((line) => !aboutServer.test(line))
    .join('\n');
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
