import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';

const SCRIPTS = fileURLToPath(new URL('../../scripts', import.meta.url));

function run(script: string, ...args: string[]) {
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
}

/** A checkout that consists of a script and a lock. */
function checkout(script: string, packages: Record<string, object>) {
  const root = temporaryDirectory();
  const lock = join(root, 'package-lock.json');
  mkdirSync(join(root, 'scripts'));
  copyFileSync(join(SCRIPTS, script), join(root, 'scripts', script));
  writeFileSync(lock, JSON.stringify({ name: 'x', lockfileVersion: 3, packages }));
  const read = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'));
  return { root, read, run: (...args: string[]) => run(join(root, 'scripts', script), ...args) };
}

const ALL_PASSED = {
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numFailedTestSuites: 0,
  numTotalTests: 3,
};

test.each<[string, Partial<typeof ALL_PASSED>, string, number]>([
  ['all tests passed', {}, '3 passed, 0 failed\n', 0],
  ['a test failed', { numFailedTests: 2, numFailedTestSuites: 1 }, '3 passed, 2 failed\n', 1],
  ['a file cannot be loaded', { numFailedTestSuites: 1 }, '3 passed, 1 failed\n', 1],
  ['a test was skipped', { numPendingTests: 1 }, '3 passed, 0 failed, 1 skipped\n', 1],
  ['there were no tests', { numPassedTests: 0, numTotalTests: 0 }, '', 1],
])('the counts for CI say that %s', (_, counts, line, exitCode) => {
  const file = join(temporaryDirectory(), 'results.json');
  writeFileSync(file, JSON.stringify({ ...ALL_PASSED, ...counts }));
  const { status, stdout } = run(join(SCRIPTS, 'print-counts.mjs'), file);
  expect([status, stdout]).toEqual([exitCode, line]);
});

test('the counts for CI are an error without a result', () => {
  const { status, stdout } = run(join(SCRIPTS, 'print-counts.mjs'), '/does/not/exist');
  expect([status, stdout]).toEqual([1, '']);
});

test('the shrinkwrap has what users need and nothing for development, and is removed after packing', () => {
  const { root, read, run } = checkout('shrinkwrap.mjs', {
    '': { name: 'x', dependencies: { a: '1' }, devDependencies: { b: '1' } },
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/b': { version: '1.0.0', dev: true },
    'node_modules/c': { version: '1.0.0', devOptional: true },
    'node_modules/d': { version: '1.0.0', optional: true },
  });
  expect(run().status).toBe(0);
  expect(read('npm-shrinkwrap.json')).toEqual({
    name: 'x',
    lockfileVersion: 3,
    packages: {
      '': { name: 'x', dependencies: { a: '1' } },
      'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
      'node_modules/d': { version: '1.0.0', optional: true },
    },
  });
  for (let times = 0; times < 2; times++) expect(run('--remove').status).toBe(0);
  expect(existsSync(join(root, 'npm-shrinkwrap.json'))).toBe(false);
  expect(existsSync(join(root, 'package-lock.json'))).toBe(true);
});

test('a lock is completed by the builds for other platforms that npm has left out', () => {
  const builds = { '@a/linux-x64': '1.0.0', '@a/darwin-arm64': '1.0.0', '@a/linux-armv7': '1.0.0' };
  const linux = { version: '1.0.0', dev: true, optional: true, integrity: 'sha512-a' };
  const { read, run } = checkout('complete-lock.mjs', {
    '': { name: 'x' },
    'node_modules/a': { version: '1.0.0', dev: true, optionalDependencies: builds },
    'node_modules/@a/linux-x64': linux,
    // Another version for another dependent.
    'node_modules/b': { version: '2.0.0', optionalDependencies: { '@a/linux-x64': '2.0.0' } },
    // What npm has found satisfies a range.
    'node_modules/c': { version: '1.0.0', optionalDependencies: { '@a/linux-x64': '^1.0.0' } },
  });
  expect(run().stdout).toMatch(/^added 3 stub entries:\n/);
  const stub = { optional: true, engines: { node: '>= 10' } };
  const { packages } = read('package-lock.json');
  expect(packages).toMatchObject({
    'node_modules/@a/linux-x64': linux,
    'node_modules/@a/darwin-arm64': {
      ...stub,
      version: '1.0.0',
      dev: true,
      os: ['darwin'],
      cpu: ['arm64'],
    },
    'node_modules/@a/linux-armv7': { ...stub, version: '1.0.0', os: ['linux'], cpu: ['arm'] },
    'node_modules/b/node_modules/@a/linux-x64': {
      ...stub,
      version: '2.0.0',
      os: ['linux'],
      cpu: ['x64'],
    },
  });
  expect(Object.keys(packages)).toEqual(Object.keys(packages).sort());
  expect(Object.keys(packages)).toHaveLength(8);
  expect(run().stdout).toBe('package-lock.json is complete\n');
});
