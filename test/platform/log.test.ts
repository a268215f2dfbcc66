import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { needs } from '../support/programs.ts';
import { temporaryDirectory } from '../support/serve.ts';

const MODULE = new URL('../../src/platform/log.ts', import.meta.url).href;
const PROGRAM = `import { createLog } from ${JSON.stringify(MODULE)};
  const log = createLog('info');
  log.debug('too much');
  log.warn({ event: 'scrape_refused', gate: 'token' }, 'scrape refused');`;
const NODE = [process.execPath, '--input-type=module', '-e', PROGRAM];
const [node = '', ...args] = NODE;

const IS_JSON = /^\{"level":"warn",/;
const IS_READABLE = /WARN.* scrape refused .*event=scrape_refused gate=token/;

test('a line of the log is JSON with the level, the time, the fields and the message, and nothing else', () => {
  const before = Date.now();
  const { stdout, stderr } = spawnSync(node, args, { encoding: 'utf8' });
  expect(stdout).toBe('');
  const lines = stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  const { time, ...line } = JSON.parse(lines[0] ?? '');
  expect(line).toEqual({
    level: 'warn',
    event: 'scrape_refused',
    gate: 'token',
    msg: 'scrape refused',
  });
  expect(time).toBe(new Date(time).toISOString());
  expect(Date.parse(time)).toBeGreaterThanOrEqual(before);
});

describe('the format depends on standard error', () => {
  /** Runs the program in a terminal, one of its outputs going to a file. @returns what the log has written */
  function logged(redirect: 'stdout' | 'stderr'): string {
    const file = join(temporaryDirectory(), 'output');
    const command = ['sh', '-c', `exec "$@" ${redirect === 'stderr' ? '2' : ''}>'${file}'`, 'sh'];
    const terminal = 'import pty, sys; pty.spawn(sys.argv[1:])';
    const { stdout } = spawnSync('python3', ['-c', terminal, ...command, ...NODE], {
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    return redirect === 'stderr' ? readFileSync(file, 'utf8') : stdout;
  }

  needs('python3').test('a terminal gets readable lines, also if the output goes to a file', () => {
    expect(logged('stdout')).toMatch(IS_READABLE);
  });

  needs('python3').test('a file gets JSON, also if the output goes to a terminal', () => {
    expect(logged('stderr')).toMatch(IS_JSON);
  });
});
