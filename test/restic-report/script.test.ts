import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { SCRIPT, SHELLS } from './rig.ts';

needs('shellcheck').test('shellcheck has no remarks', () => {
  const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', SCRIPT], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, '']);
});

for (const { program, command } of SHELLS) {
  needs(program).test(`the version under ${command.join(' ')} is that of the package`, () => {
    const { version } = JSON.parse(readPage('package.json'));
    const [file = '', ...args] = command;
    const shown = execFileSync(file, [...args, SCRIPT, '--version'], { encoding: 'utf8' });
    expect(shown).toBe(`restic-report ${version}\n`);
  });
}

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
  [['flush', 'now'], 2],
  [['test', 'now'], 2],
  [['--version', 'now'], 2],
])('%j ends with %i, and standard output has only what was asked for', (args, code) => {
  const { status, stdout, stderr } = spawnSync('sh', [SCRIPT, ...args], { encoding: 'utf8' });
  expect(status).toBe(code);
  expect(code === 0 ? stderr : stdout).toBe('');
  expect(stdout + stderr).toContain('restic-report');
});

test.each([
  ['without settings', {}, 2, /RESTIC_REPORT_URL is not set, and \/nonexistent does not exist\n/],
  [
    'without a place for the spool',
    { RESTIC_REPORT_URL: 'http://x', RESTIC_REPORT_TOKEN: 't', RESTIC_REPORT_SPOOL: '/proc/x' },
    1,
    /the spool \/proc\/x cannot be written\n/,
  ],
])('flush %s says so and ends with an error', (_, env, code, words) => {
  const { status, stderr } = spawnSync('sh', [SCRIPT, 'flush'], {
    env: { PATH: process.env.PATH, RESTIC_REPORT_CONFIG: '/nonexistent', ...env },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([code, expect.stringMatching(words)]);
});
