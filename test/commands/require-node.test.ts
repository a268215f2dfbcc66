import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';

/** The packed package has no sources; this is a checkout. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const PREFIX = `Run instead: npx -y -p node-${process.platform}-${process.arch}@22 -c `;

/** What is printed where Node says that it is another version. */
function advice(argv: readonly string[], script?: string, version = '20.20.2'): string {
  const program = `
    Object.defineProperty(process, 'versions', { value: { node: '${version}' } });
    process.argv = ['node', ...${JSON.stringify(argv)}];
    require('./scripts/require-node.cjs');`;
  const { npm_lifecycle_event: _, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, ['-e', program], {
    encoding: 'utf8',
    env: script === undefined ? env : { ...env, npm_lifecycle_event: script },
  });
  expect(status).toBe(1);
  return stderr.trim().split(PREFIX)[1] ?? stderr;
}

test.each([
  [['/repo/scripts/require-node.cjs'], 'test', 'npm ci && npm test'],
  [['/repo/scripts/require-node.cjs'], 'check', 'npm ci && npm run --silent check'],
  [['/repo/src/cli.ts', 'serve', '--config', 'x'], 'start', 'npm ci && npm start -- --config x'],
  [['/repo/src/cli.ts', 'demo'], 'demo', 'npm ci && npm run --silent demo'],
  [
    ['/repo/src/cli.ts', 'hosts', 'add', 'web 1'],
    'cli',
    'npm ci && npm run --silent cli -- hosts add "web 1"',
  ],
  [
    ['/usr/bin/restic-manager', 'hosts', 'list'],
    undefined,
    `cd ${ROOT} && npm ci && npm run --silent cli -- hosts list`,
  ],
  [
    ['/repo/bin/restic-manager.mjs', 'serve'],
    'start',
    `cd ${ROOT} && npm ci && npm run --silent cli -- serve`,
  ],
])('an older Node is told how to do the same: %j by %s', (argv, script, command) => {
  expect(advice(argv, script)).toBe(`'${command}'`);
});

test.each(['18.20.0', '20.20.2', '22.17.1', '23.11.0', '25.1.0'])(
  'Node %s is not supported',
  (version) => {
    expect(advice(['/repo/scripts/require-node.cjs'], 'test', version)).toBe(
      "'npm ci && npm test'",
    );
  },
);

test('without dependencies the message says what to run', () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'scripts'));
  mkdirSync(join(directory, 'src'));
  copyFileSync(join(ROOT, 'scripts/require-node.cjs'), join(directory, 'scripts/require-node.cjs'));
  const run = () =>
    spawnSync(process.execPath, ['scripts/require-node.cjs'], { cwd: directory, encoding: 'utf8' });
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringMatching(/: npm ci\n$/) });
  mkdirSync(join(directory, 'node_modules'));
  expect(run()).toMatchObject({ status: 0, stderr: '' });
});
