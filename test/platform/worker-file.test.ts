import { expect, test } from 'vitest';
import { workerFile } from '../../src/platform/worker-file.ts';

test.each([
  [
    'a source is started by a source',
    'file:///p/src/loop/doors/x.ts',
    'file:///p/src/y/z.worker.ts',
  ],
  [
    'a compiled file by a compiled file',
    'file:///p/dist/loop/doors/x.js',
    'file:///p/dist/y/z.worker.js',
  ],
])('a thread of %s', (_, importer, expected) => {
  expect(workerFile('../../y/z', importer).href).toBe(expected);
});
