import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pathOf } from '../support/programs.ts';
import { temporaryDirectory } from '../support/serve.ts';

export const SCRIPT = fileURLToPath(new URL('../../bin/restic-report', import.meta.url));

const NOBODY = 65_534;

/** The programs that the tests of the script run: the one in place of restic is a script of bash. */
export const PROGRAMS = ['bash', 'curl'] as const;

export interface Shell {
  readonly program: string;
  readonly command: readonly string[];
}

/** The shells that the script must run under. */
export const SHELLS: readonly Shell[] = [
  { program: 'dash', command: ['dash'] },
  { program: 'bash', command: ['bash'] },
  { program: 'busybox', command: ['busybox', 'ash'] },
];

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A host: its spool, its settings, and a program in place of restic. */
export class ReportingHost {
  readonly directory = temporaryDirectory();
  readonly spool = join(this.directory, 'spool');
  readonly shell: readonly string[];
  env: Environment;

  constructor(url: string, token: string, shell: readonly string[] = ['sh']) {
    this.shell = shell;
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('RESTIC'));
    this.env = {
      ...Object.fromEntries(own),
      RESTIC_REPORT_CONFIG: join(this.directory, 'restic-report.conf'),
      RESTIC_REPORT_URL: url,
      RESTIC_REPORT_TOKEN: token,
      RESTIC_REPORT_SPOOL: this.spool,
    };
    this.configure('# settings of this host\n');
  }

  configure(lines: string): void {
    writeFileSync(join(this.directory, 'restic-report.conf'), lines);
  }

  /** Names of the messages that wait. */
  get waiting(): string[] {
    return this.left.filter((name) => /^\d{12}\.(job|stats)$/.test(name));
  }

  /** Names of all files in the spool. */
  get left(): string[] {
    try {
      return readdirSync(this.spool).sort();
    } catch {
      return [];
    }
  }

  start(
    args: readonly string[],
    env: Environment = {},
    options: { readonly detached?: boolean } = {},
  ): ChildProcess {
    const [program = 'sh', ...rest] = this.shell;
    return spawn(program, [...rest, SCRIPT, ...args], {
      cwd: this.directory,
      env: { ...this.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options,
    });
  }

  async run(args: readonly string[], env: Environment = {}, input = ''): Promise<Result> {
    const child = this.start(args, env);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    return ended(child);
  }

  /** Writes a program that is used in place of restic. @returns its path */
  program(lines: string): string {
    const path = join(this.directory, 'bin', 'restic');
    mkdirSync(join(this.directory, 'bin'), { recursive: true });
    writeFileSync(path, `#!${pathOf('bash')}\n${lines}`);
    chmodSync(path, 0o755);
    return path;
  }

  /** Creates a repository and some files. @returns the variables for restic */
  repository(): Environment {
    const repo = join(this.directory, 'repo');
    const files = join(this.directory, 'files');
    mkdirSync(files, { recursive: true });
    writeFileSync(join(files, 'a'), 'a file\n');
    const variables = {
      RESTIC_REPOSITORY: repo,
      RESTIC_PASSWORD: 'secret',
      RESTIC_CACHE_DIR: join(this.directory, 'cache'),
    };
    execFileSync('restic', ['init', '-q'], { env: { ...this.env, ...variables } });
    return variables;
  }

  get files(): string {
    return join(this.directory, 'files');
  }

  /**
   * Gives the directory to a user without the permissions of root.
   * @returns the start of a command that runs the rest of it as that user; empty if the tests do not run as root
   */
  leaveRoot(): readonly string[] {
    if (process.getuid?.() !== 0) return [];
    execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, this.directory]);
    return ['setpriv', '--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--clear-groups'];
  }
}

export function ended(child: ChildProcess): Promise<Result> {
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Behaves like restic 0.18: a summary in `snapshots`, and exit code 130 after a signal. */
export const RESTIC_018 = `
case "$1" in
  version) echo 'restic 0.18.0 compiled with go1.24.1 on linux/arm64'; exit ;;
  snapshots)
    at=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
    printf '[{"time":"2026-01-01T00:00:00Z","tree":"aa","paths":["/old{"],"hostname":"%s","summary":{"backup_start":"2026-01-01T00:00:00Z","data_added":1,"data_added_packed":2},"id":"11111111","short_id":"1111"},' "$(uname -n)"
    printf '{"time":"%s","paths":["/a \\\\"short_id\\\\":\\\\"ff\\\\" {}"],"hostname":"%s","summary":{"backup_start":"%s","backup_end":"%s","data_added":4096,"data_added_packed":1234},"id":"abcdef0123","short_id":"abcd"},' "$at" "$(uname -n)" "$at" "$at"
    printf '{"time":"%s","paths":["/x"],"hostname":"another","summary":{"backup_start":"%s","data_added":9,"data_added_packed":9},"id":"99999999","short_id":"9999"}]' "$at" "$at"
    exit ;;
  stats) echo '{"total_size":987654,"total_blob_count":3,"snapshots_count":3}'; exit ;;
esac
trap 'echo "signal interrupt received, cleaning up" >&2; exit 130' INT TERM
[ -z "$FAKE_OUT" ] || echo "$FAKE_OUT"
[ -z "$FAKE_ERR" ] || echo "$FAKE_ERR" >&2
for _ in $(seq 1 $((\${FAKE_SECONDS:-0} * 20))); do sleep 0.05; done
exit \${FAKE_CODE:-0}
`;
