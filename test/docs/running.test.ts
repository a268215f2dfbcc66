import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { readPage } from '../support/page.ts';
import { temporaryDirectory } from '../support/serve.ts';

test('the settings of docs/running.md are good', () => {
  const config = /config\.yaml <<'END'\n([\s\S]*?)END/.exec(readPage('docs/running.md'))?.[1] ?? '';
  const directory = temporaryDirectory();
  const tokenFile = join(directory, 'metrics-token');
  writeFileSync(tokenFile, 'secret\n');
  const configFile = join(directory, 'config.yaml');
  writeFileSync(configFile, config.replace('/etc/restic-manager/metrics-token', tokenFile));

  expect(loadSettings({}, configFile).settings).toMatchObject({
    listen: { host: '0.0.0.0', port: 8080 },
    metricsListen: { host: '0.0.0.0', port: 9798 },
    access: { token: 'secret' },
    dataDir: '/var/lib/restic-manager',
  });
});
