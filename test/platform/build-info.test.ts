import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';

const MODULE = fileURLToPath(new URL('../../src/platform/build-info.ts', import.meta.url));
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/** The commit that the module finds in a directory with these files. */
async function commitAmong(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = temporaryDirectory();
  const module = join(directory, 'src/platform/build-info.ts');
  mkdirSync(dirname(module), { recursive: true });
  copyFileSync(MODULE, module);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  const { packageCommit } = await import(/* @vite-ignore */ pathToFileURL(module).href);
  return packageCommit();
}

describe('the commit of this build', () => {
  it.each<[where: string, files: Readonly<Record<string, string>>, commit: string]>([
    [
      'on a branch',
      { '.git/HEAD': 'ref: refs/heads/main\n', '.git/refs/heads/main': `${COMMIT}\n` },
      COMMIT,
    ],
    ['of a checkout without a branch', { '.git/HEAD': `${COMMIT}\n` }, COMMIT],
    [
      'that the build has written',
      { 'src/commit.txt': 'a1b2c3d\n', '.git/HEAD': COMMIT },
      'a1b2c3d',
    ],
    ['without a repository', {}, 'unknown'],
  ])('%s', async (_, files, commit) => {
    expect(await commitAmong(files)).toBe(commit);
  });
});
