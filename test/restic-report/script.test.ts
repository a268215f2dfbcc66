import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readPage } from '../support/page.ts';
import { SCRIPT, SHELLS } from './rig.ts';

const NO_SHELLCHECK = spawnSync('shellcheck', ['--version']).error ? 'no shellcheck' : '';

test.skipIf(NO_SHELLCHECK)(
  `shellcheck has no remarks${NO_SHELLCHECK ? ` (${NO_SHELLCHECK})` : ''}`,
  () => {
    const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', SCRIPT], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, '']);
  },
);

test('the version is that of the package', () => {
  const { version } = JSON.parse(readPage('package.json'));
  for (const [program = '', ...args] of SHELLS) {
    const shown = execFileSync(program, [...args, SCRIPT, '--version'], { encoding: 'utf8' });
    expect(shown).toBe(`restic-report ${version}\n`);
  }
});

test('the help names every setting that the script reads, and the page explains it', () => {
  const text = readFileSync(SCRIPT, 'utf8');
  const help = execFileSync('sh', [SCRIPT, '--help'], { encoding: 'utf8' });
  const page = readPage('docs/restic-report.md');
  const settings = new Set(text.match(/RESTIC_REPORT_[A-Z_]+[A-Z]/g));
  expect(settings.size).toBe(9);
  for (const name of settings) {
    expect(help).toContain(name);
    expect(page).toContain(`\`${name}\``);
  }
});

test.each([
  [['--help'], 0],
  [[], 2],
  [['--'], 2],
  [['nonsense'], 2],
  [['backup'], 2],
])('%j ends with %i, and standard output has only what was asked for', (args, code) => {
  const { status, stdout, stderr } = spawnSync('sh', [SCRIPT, ...args], { encoding: 'utf8' });
  expect(status).toBe(code);
  expect(code === 0 ? stderr : stdout).toBe('');
  expect(stdout + stderr).toContain('restic-report');
});
