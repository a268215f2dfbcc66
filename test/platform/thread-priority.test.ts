import { spawnSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { expect } from 'vitest';
import { needs } from '../support/programs.ts';

const MODULE = new URL('../../src/platform/thread-priority.ts', import.meta.url).href;
const PROGRAM = `
  import { getPriority } from 'node:os';
  import { lowerThreadPriority } from ${JSON.stringify(MODULE)};
  lowerThreadPriority();
  console.log(getPriority());`;

/** Root may raise a priority, too, as long as it has this privilege. */
const WITHOUT_PRIVILEGE =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-sys_nice', '--inh-caps=-sys_nice'] : [];

needs('nice', 'setpriv').test.each([0, 5, 15, 19])(
  'a thread gets a lower priority, also where that of the process is low: nice %i',
  (nice) => {
    const [command = '', ...args] = [
      ...WITHOUT_PRIVILEGE,
      ...['nice', '-n', String(nice)],
      ...[process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module'],
      ...['-e', PROGRAM],
    ];
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(Number(stdout)).toBe(Math.min(19, getPriority() + nice + 10));
  },
);
