import { spawnSync } from 'node:child_process';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { TestAgent } from '../support/agent.ts';
import { readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { Served, sample, temporaryDirectory } from '../support/serve.ts';

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

needs('systemd-analyze').test('systemd rates the unit of docs/running.md 2 or better', () => {
  const [, unit = ''] = /^```ini\n([\s\S]*?)^```$/m.exec(readPage('docs/running.md')) ?? [];
  const file = join(temporaryDirectory(), 'restic-manager.service');
  writeFileSync(file, unit);
  const { stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--no-pager', file],
    { encoding: 'utf8', env: { ...process.env, LANG: 'C.UTF-8' } },
  );
  const [, exposure] =
    /Overall exposure level for restic-manager\.service: ([\d.]+)/.exec(stdout) ?? [];
  expect(Number(exposure), stderr).toBeLessThanOrEqual(2);
  // What it cannot see: without StateDirectory the service could not write its database.
  expect(unit).toContain('StateDirectory=restic-manager\n');
});

test('the backup of docs/running.md is taken under writes, and restored as it says', async () => {
  const page = readPage('docs/running.md');
  const vacuum = /fleet\.db "(VACUUM INTO '[^']*backup\.db')"/.exec(page)?.[1] ?? '';
  expect(page).toContain('sudo rm -f fleet.db-wal fleet.db-shm\n');
  const served = await Served.start();
  const { token } = await served.addHost('db');
  const agent = await TestAgent.online(served.agentUrl, token);
  await agent.job({ id: 'before', kind: 'check', status: 'failed' });
  const backup = join(served.dataDir, 'backup.db');
  let stop = false;
  const writing = (async () => {
    for (let n = 0; !stop; n++) await agent.job({ id: `${n}`, kind: 'diff', status: 'failed' });
    return true;
  })();
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { timeout: 5_000 });
  db.exec(vacuum.replace('/var/lib/restic-manager/backup.db', backup));
  db.close();
  stop = true;
  expect(await writing).toBe(true);
  await agent.job({ id: 'after', kind: 'backup', status: 'failed' });
  await served.stop('SIGKILL');

  for (const file of ['fleet.db-wal', 'fleet.db-shm']) rmSync(join(served.dataDir, file));
  renameSync(backup, join(served.dataDir, 'fleet.db'));
  const again = await Served.start({}, served.dataDir);
  expect(sample(await again.scrape(), 'rm_active_alerts{severity="critical"}')).toBe(1);
  expect(sample(await again.scrape(), 'rm_active_alerts{severity="warning"}')).toBe(0);
  const back = await TestAgent.online(again.agentUrl, token);
  await back.job({ id: 'before', kind: 'check', status: 'failed' });
  const counted = 'rm_job_duration_seconds_count{kind="check",status="failed"}';
  expect(sample(await again.scrape(), counted), 'it is remembered').toBe(0);
  await again.stop();
  const check = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
  expect(check.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  check.close();
});
