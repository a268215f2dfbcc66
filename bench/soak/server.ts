import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const GC_ON_REQUEST = new URL('./gc-on-request.ts', import.meta.url).href;
/** The V8 flags of `npm start`. */
const FLAGS = ['--max-semi-space-size=4'];
/**
 * Threads collect in tens of milliseconds. A thread that waits for the store starts up to 100 ms
 * later.
 */
const GC_MS = 300;
const STOP_LIMIT_MS = 20_000;
/** Maximum output of a command. 15,000 hosts are 3 MB. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Number of log lines to show when the server dies. */
const SHOWN_LINES = 20;
export const METRICS_TOKEN = 'the-token-of-the-soak';

export interface EnrolledHost {
  readonly host_id: string;
  readonly token: string;
}

export interface Exit {
  /** The exit code, or the signal that ended it. */
  readonly by: number | NodeJS.Signals | null;
  readonly ms: number;
}

/** Settings as environment variables. */
type Variables = Readonly<Record<string, string>>;

/** Must be removed when this process ends. */
interface Running {
  readonly dataDir: string;
  readonly variables: Variables;
  readonly process: ChildProcess;
  readonly commands: Set<ChildProcess>;
}

/**
 * A real `restic-manager serve` with its own data directory. Both are removed when this process
 * ends.
 */
export class SoakServer {
  /** `http://HOST:PORT` */
  readonly url: string;
  /** The lines of its standard error. */
  readonly stderr: readonly string[];
  /** Rejects if the server ends before `stop` was called. */
  readonly died: Promise<never>;
  readonly #running: Running;
  #stopping = false;

  private constructor(url: string, running: Running, stderr: string[]) {
    this.url = url;
    this.#running = running;
    this.stderr = stderr;
    this.died = new Promise((_, reject) => {
      running.process.once('close', (code, signal) => {
        if (!this.#stopping) reject(new Error(endedWith(code ?? signal, stderr)));
      });
    });
    // The soak awaits this promise later. Until then a rejection must not end the process.
    this.died.catch(() => {});
  }

  /** @param settings further settings, as environment variables */
  static async start(threads: number, settings: Variables = {}): Promise<SoakServer> {
    const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-soak-'));
    const variables = { RM_DATA_DIR: dataDir, ...settings };
    const child = spawn(process.execPath, [...FLAGS, '--import', GC_ON_REQUEST, CLI, 'serve'], {
      env: {
        ...ownVariables(),
        RM_LISTEN: '127.0.0.1:0',
        RM_METRICS_TOKEN: METRICS_TOKEN,
        RM_AGENT_THREADS: String(threads),
        ...variables,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = { dataDir, variables, process: child, commands: new Set<ChildProcess>() };
    process.once('exit', () => cleanUp(server));
    const stderr: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => stderr.push(line));
    const url = await new Promise<string>((resolve, reject) => {
      child.once('close', (code, signal) => reject(new Error(endedWith(code ?? signal, stderr))));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [, url] = /^listening on (.+)$/.exec(line) ?? [];
        if (url !== undefined) resolve(url);
      });
    });
    return new SoakServer(url, server, stderr);
  }

  get dataDir(): string {
    return this.#running.dataDir;
  }

  get agentUrl(): string {
    return `${this.url.replace('http', 'ws')}/ws/agent`;
  }

  /** Resident memory in bytes, after all threads of the server have collected their garbage. */
  async residentBytes(): Promise<number> {
    this.#running.process.kill('SIGUSR2');
    await setTimeout(GC_MS);
    const status = readFileSync(`/proc/${this.#running.process.pid}/status`, 'utf8');
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    if (kib === undefined) throw new Error('the server reports no VmRSS');
    return Number(kib) * 1024;
  }

  /** @throws Error with what the command printed if it fails */
  async addHosts(names: readonly string[]): Promise<EnrolledHost[]> {
    const lines = await this.#hosts(['add', '--stdin'], names.join('\n'));
    return lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  /** @throws Error with what the command printed if it fails */
  async removeHost(hostId: string): Promise<void> {
    await this.#hosts(['remove', hostId], '');
  }

  async stop(): Promise<Exit> {
    this.#stopping = true;
    const startedAt = performance.now();
    // Not `exit`: the last lines of the log may arrive after that event.
    const closed = once(this.#running.process, 'close');
    this.#running.process.kill('SIGTERM');
    const limit = new AbortController();
    const tooLong = setTimeout(STOP_LIMIT_MS, undefined, limit).then(
      () => void this.#running.process.kill('SIGKILL'),
      () => {},
    );
    const [code, signal] = await closed;
    const ms = performance.now() - startedAt;
    limit.abort();
    await tooLong;
    return { by: code ?? signal, ms };
  }

  #hosts(args: readonly string[], input: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const env = { ...ownVariables(), ...this.#running.variables };
      const command = execFile(
        process.execPath,
        [CLI, 'hosts', ...args],
        { env, maxBuffer: MAX_OUTPUT_BYTES },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new Error(`hosts ${args[0]} ended with ${error.code}: ${stderr.trim()}`));
        },
      );
      const { commands } = this.#running;
      commands.add(command);
      command.once('exit', () => commands.delete(command));
      command.stdin?.end(input);
    });
  }
}

/** Commands must end first, because a running one would create the directory again. */
function cleanUp({ dataDir, process, commands }: Running): void {
  for (const child of [process, ...commands]) child.kill('SIGKILL');
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
}

/** The environment without RM_* variables, so that the server takes no settings from the shell. */
function ownVariables(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('RM_')),
  );
}

function endedWith(by: number | string | null, stderr: readonly string[]): string {
  return [
    'the server ended with ',
    by,
    ...stderr.slice(-SHOWN_LINES).map((line) => `\n  ${line}`),
  ].join('');
}
