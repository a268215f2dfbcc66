import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('the program runs the sources of a checkout, or the compiled files of the package', () => {
  const directory = temporaryDirectory();
  const at = (path: string) => join(directory, path);
  for (const folder of ['bin', 'scripts', 'package.json']) {
    cpSync(join(ROOT, folder), at(folder), { recursive: true });
  }
  for (const folder of ['node_modules', 'dist', 'src']) mkdirSync(at(folder));
  writeFileSync(at('dist/cli.js'), `console.log('compiled', ...process.execArgv);`);
  // As docs/running.md installs it.
  symlinkSync(at('bin/restic-manager.mjs'), at('link'));
  const run = () => execFileSync(at('link'), { encoding: 'utf8' });
  const memory = '--max-semi-space-size=4';
  expect(run()).toBe(`compiled ${memory}\n`);
  writeFileSync(at('src/cli.ts'), `console.log('sources' as string, ...process.execArgv);`);
  expect(run()).toBe(`sources ${memory}\n`);
});
