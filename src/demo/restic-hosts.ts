import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Returns the programs that these hosts need but that are not installed. */
export function missingPrograms(): string[] {
  return ['restic', 'curl'].filter((program) => {
    const { error } = spawnSync(program, ['--help'], { stdio: 'ignore' });
    return error !== undefined;
  });
}

export interface ResticHostOptions {
  /** Address of the control plane: `http://HOST:PORT`. */
  readonly url: string;
  readonly token: string;
  /** An empty directory for the repository, the files that are backed up, and the spool. */
  readonly directory: string;
  /** Called with a message when a command could not be run. */
  readonly onFailure: (text: string) => void;
}

const SCRIPT = fileURLToPath(new URL('../../bin/restic-report', import.meta.url));
export const RESTIC_HOSTS = ['restic-1', 'restic-2', 'restic-3'] as const;
const PAUSE_MS = 10_000;
/** The commands that a host runs between backups, in turn. */
const OTHER_COMMANDS = [
  ['check'],
  ['forget', '--keep-last', '3', '--prune'],
  // There is no such directory, so this backup fails.
  ['backup', '/nonexistent'],
] as const;

/** A host with a real repository in a temporary directory. `restic-report` runs restic and reports it. */
export class ResticHost {
  readonly #options: ResticHostOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #files: string;
  readonly #end = new AbortController();

  constructor(options: ResticHostOptions) {
    const { url, token, directory } = options;
    this.#options = options;
    this.#files = join(directory, 'files');
    const own = Object.entries(process.env).filter(([name]) => !/^(RESTIC|RM)_/.test(name));
    this.#env = {
      ...Object.fromEntries(own),
      RESTIC_REPORT_CONFIG: '/dev/null',
      RESTIC_REPORT_URL: url,
      RESTIC_REPORT_TOKEN: token,
      RESTIC_REPORT_SPOOL: join(directory, 'spool'),
      RESTIC_REPORT_INTERVAL: `${(2 * PAUSE_MS) / 1_000}`,
      RESTIC_REPOSITORY: join(directory, 'repository'),
      RESTIC_PASSWORD: 'demo',
      RESTIC_CACHE_DIR: join(directory, 'cache'),
    };
  }

  /** Backs up until it is closed. */
  async run(): Promise<void> {
    mkdirSync(this.#files, { recursive: true });
    await this.#restic(['init']);
    for (let round = 0; !this.#end.signal.aborted; round++) {
      writeFileSync(join(this.#files, `file-${round % 20}`), randomBytes(50_000));
      await this.#restic(['backup', this.#files]);
      await this.#pause();
      const other = OTHER_COMMANDS[round % OTHER_COMMANDS.length];
      if (other && round % 2 === 1) await this.#restic(other);
      await this.#pause();
    }
  }

  close(): void {
    this.#end.abort();
  }

  async #pause(): Promise<void> {
    await sleep(PAUSE_MS / 2, undefined, { signal: this.#end.signal }).catch(() => {});
  }

  #restic(args: readonly string[]): Promise<void> {
    if (this.#end.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const child = spawn('sh', [SCRIPT, '--', 'restic', ...args], {
        env: this.#env,
        // The output of restic would disturb the progress line.
        stdio: ['ignore', 'ignore', 'ignore'],
        signal: this.#end.signal,
      });
      child.on('error', (error) => {
        if (!this.#end.signal.aborted) this.#options.onFailure(`restic-report: ${error.message}`);
      });
      child.on('close', () => resolve());
    });
  }
}
