import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** Why this test is skipped. */
    skippedBecause?: string;
  }
}

/** `describe` and `test` of Vitest. */
export interface Tests {
  readonly describe: typeof describe;
  readonly test: typeof test;
}

/**
 * `describe` and `test` for tests that run these programs. Where one is not installed, the tests are skipped and
 * their names say which.
 *
 * ```ts
 * needs('openssl').test('TLS is offered', async () => {});
 * const { describe, test } = needs('bash', 'curl'); // for a whole file
 * ```
 */
export function needs(...programs: readonly string[]): Tests {
  return unless(missing(...programs));
}

/** `describe` and `test` for tests that cannot run if there is a reason. An empty one is none. */
export function unless(reason: string): Tests {
  if (reason === '') return { describe, test };
  return { describe: skipping(describe, reason), test: skipping(test, reason) };
}

/** Which of these programs are not installed, such as `curl and openssl are not installed`; empty if all are. */
export function missing(...programs: readonly string[]): string {
  const absent = [...new Set(programs)].filter((program) => find(program) === undefined);
  if (absent.length === 0) return '';
  const names = new Intl.ListFormat('en').format(absent);
  return `${names} ${absent.length === 1 ? 'is' : 'are'} not installed`;
}

/**
 * The path of a program that must be installed.
 * @throws Error if it is not
 */
export function pathOf(program: string): string {
  const path = find(program);
  if (path === undefined) throw new Error(missing(program));
  return path;
}

/** Where Debian installs servers. These directories are not on the PATH of every user. */
const OF_SERVERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

function find(program: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...OF_SERVERS];
  return directories.map((directory) => join(directory, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @returns what registers tests as `api` does, but always as skipped */
function skipping<Api extends typeof describe | typeof test>(api: Api, reason: string): Api {
  const { skip } = api as typeof test;
  const options = { meta: { skippedBecause: reason } };
  const titled = (name: string) => `${name} (${reason})`;
  const one = (name: string, body: () => void) => skip(titled(name), options, body);
  const each = (cases: readonly unknown[]) => (name: string, body: () => void) =>
    skip.each(cases)(titled(name), options, body);
  return Object.assign(one, { each }) as unknown as Api;
}
