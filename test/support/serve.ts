import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { Administration } from '../../src/store-thread/administration.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import { PostgresEngine } from '../../src/store-thread/postgres/engine.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
export const TOKEN = 'a-token-for-tests';

export type Variables = Readonly<Record<string, string>>;

/** Registers `end` to be called when the owner of a resource ends. The default owner is the test. */
export type AtEnd = (end: () => void) => void;

/** Creates a directory that is deleted after the test. */
export function temporaryDirectory(atEnd: AtEnd = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-test-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** `restic-manager serve` as a process. It ends with the test. */
export class Served {
  readonly dataDir: string;
  readonly url: string;
  readonly metricsUrl: string;
  readonly #process: ChildProcess;
  readonly #log: string[];
  readonly #databaseUrl: string | undefined;

  private constructor(
    dataDir: string,
    databaseUrl: string | undefined,
    lines: readonly string[],
    process: ChildProcess,
    log: string[],
  ) {
    this.dataDir = dataDir;
    this.#databaseUrl = databaseUrl;
    this.url = lines[0]?.replace('listening on ', '') ?? '';
    this.metricsUrl = lines[1]?.replace('metrics on ', '') ?? `${this.url}/metrics`;
    this.#process = process;
    this.#log = log;
  }

  /** @param runBy a program with arguments that replaces itself by the command that follows them */
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
    return new Served(dataDir, env.RM_DATABASE_URL, lines, child, log);
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
    // `close` is emitted after the end of the log was read.
    return new Promise((resolve) => this.#process.once('close', (code, by) => resolve(code ?? by)));
  }

  /** @returns the exit code, or the signal that ended it */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const exited = this.exited();
    this.#process.kill(signal);
    return exited;
  }

  /** Scrapes with valid credentials and returns the body. */
  async scrape(): Promise<string> {
    const response = await fetch(this.metricsUrl, {
      headers: { Authorization: `Bearer ${TOKEN}` },
    });
    if (response.status !== 200) throw new Error(`scrape: ${response.status}`);
    return response.text();
  }

  async addHost(host: string): Promise<AddedHost> {
    const [added] = await enrol(this.dataDir, [host], this.#databaseUrl);
    if (added === undefined) throw new Error('no host was added');
    return added;
  }
}

/**
 * Starts one server for all tests of the enclosing `describe`. For tests that leave nothing behind
 * that another one could notice.
 * @returns a function that returns the server
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

/** Runs `restic-manager ARGS` and waits for its end. */
export function cli(
  args: readonly string[],
  variables: Variables = {},
  input = '',
): Promise<CliResult> {
  return new Promise((resolve) => {
    const env = { ...ownVariables(), ...variables };
    // A process that does not end is killed, and its exit code is -1.
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

/** Enrols a number of hosts at once. */
export function addHosts(dataDir: string, count: number): Promise<AddedHost[]> {
  return enrol(
    dataDir,
    Array.from({ length: count }, (_, index) => `host-${index}`),
  );
}

/**
 * Enrols hosts as `hosts add` does, but in the process of the test: for many tests, starting another
 * one was half of the work.
 */
async function enrol(
  dataDir: string,
  hosts: readonly string[],
  databaseUrl?: string,
): Promise<AddedHost[]> {
  const onForgottenJobs = () => {};
  const engine = databaseUrl
    ? PostgresEngine.open(databaseUrl, { serves: undefined, onForgottenJobs })
    : SqliteEngine.open(dataDir, { serves: false, onForgottenJobs });
  try {
    const administration = new Administration(engine);
    const enrolled = engine.transaction(() =>
      administration.apply<'addHosts'>(['addHosts', { hosts }], new Changes()),
    );
    // Before that, the server refuses their tokens.
    await eventually(() => {
      const isApplied = administration.apply(['areHostChangesApplied', null], new Changes());
      if (!isApplied) throw new Error('the server does not apply the changes of hosts');
    });
    return enrolled.map(({ hostId, token }, index) => ({
      host_id: hostId,
      host: hosts[index] ?? '',
      token,
    }));
  } finally {
    engine.close();
  }
}

/** Retries until `check` returns a value. After a time limit it throws the last error of `check`. */
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

/** The value of a series in a body, by its exact text; undefined if there is no such row. */
export function sample(body: string, series: string): number | undefined {
  const line = body.split('\n').find((row) => row.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/**
 * Removes the rows about the server and about scrapes from a body. The rest is the same in two
 * scrapes of the same fleet.
 */
export function aboutFleet(body: string): string {
  const aboutServer = /^(# (HELP|TYPE) )?(nodejs_|process_|rm_agent_|rm_api_|rm_scrape|rm_store_)/;
  return body
    .split('\n')
    .filter((line) => !aboutServer.test(line))
    .join('\n');
}

/** The environment without RM_* variables, so that the server takes no settings from the shell. */
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
