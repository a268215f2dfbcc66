import { expect, onTestFinished, test } from 'vitest';
import { ResticHost } from '../../src/demo/restic-hosts.ts';
import { temporaryDirectory } from '../support/serve.ts';

test('a command that cannot be run is told, and the host still ends', async () => {
  const { PATH } = process.env;
  process.env.PATH = '/nonexistent';
  onTestFinished(() => {
    process.env.PATH = PATH;
  });
  const failures: string[] = [];
  const host = new ResticHost({
    url: 'http://127.0.0.1:1',
    token: 'a',
    directory: temporaryDirectory(),
    onFailure: (text) => {
      failures.push(text);
      if (failures.length === 2) host.close();
    },
  });
  await host.run();
  expect(failures).toEqual(Array(2).fill('restic-report: spawn sh ENOENT'));
});
