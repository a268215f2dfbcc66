import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const PREFIX = `Run instead: npx -y -p node-${process.platform}-${process.arch}@22 -c `;

/** What is printed where Node says that it is another version. */
function advice(argv: readonly string[], script?: string): string {
  const program = `
    Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } });
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
  [['/usr/bin/restic-manager', 'hosts', 'list'], undefined, 'restic-manager hosts list'],
  [['/usr/bin/restic-manager', 'serve'], 'start', 'restic-manager serve'],
])('an older Node is told how to do the same: %j by %s', (argv, script, command) => {
  expect(advice(argv, script)).toBe(`'${command}'`);
});
