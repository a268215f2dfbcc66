import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const MODULE = new URL('../../src/platform/experimental-warnings.ts', import.meta.url).href;

test('only experimental warnings are silenced, once or more', () => {
  const program = `import { silenceExperimentalWarnings } from ${JSON.stringify(MODULE)};
    for (let n = 0; n < 2; n++) silenceExperimentalWarnings();
    process.emitWarning('a new feature', 'ExperimentalWarning');
    process.emitWarning('an old feature', 'DeprecationWarning');
    process.emitWarning('too many listeners', 'MaxListenersExceededWarning');`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect(stderr).not.toContain('a new feature');
  expect(stderr.match(/DeprecationWarning: an old feature/g)).toHaveLength(1);
  expect(stderr.match(/MaxListenersExceededWarning: too many listeners/g)).toHaveLength(1);
});
