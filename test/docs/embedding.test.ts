import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Host } from '../../src/contract/host.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { codeBlock, readPage } from '../support/page.ts';
import { sample, temporaryDirectory } from '../support/serve.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** An empty project whose `restic-manager-metrics` is this checkout's sources. */
function projectWith(program: string): string {
  const directory = temporaryDirectory();
  const self = join(directory, 'node_modules/restic-manager-metrics');
  mkdirSync(self, { recursive: true });
  const exports = './index.mjs';
  writeFileSync(join(self, 'package.json'), JSON.stringify({ type: 'module', exports }));
  // Node strips types only outside of node_modules, so the sources are imported from where they are.
  const entry = join(root, 'src/index.ts');
  writeFileSync(join(self, 'index.mjs'), `export * from ${JSON.stringify(entry)};`);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(join(directory, 'control-plane.ts'), program);
  return directory;
}

test('the program of docs/embedding.md runs as it stands', async () => {
  const program = codeBlock(readPage('docs/embedding.md'), 'ts');
  const child = spawn(process.execPath, ['control-plane.ts'], {
    cwd: projectWith(program),
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(String(line).trim()));
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });

  expect((await fetch(url)).status).toBe(401);
  const response = await fetch(url, { headers: { Authorization: 'Bearer change-me' } });
  expect(response.status).toBe(200);
  const body = await response.text();
  const labels = '{host_id="01JD8Z5N3V9Q4R7T2W6X8Y0A1B",host="web-1.example.com"}';
  expect(sample(body, `rm_host_last_backup_timestamp_seconds${labels}`)).toBe(1763632803.5);
  expect(sample(body, 'rm_active_alerts{severity="warning"}')).toBe(1);
  expect(body).toContain('rm_build_info{version="4.2.0",commit="c0ffee"');
  for (const [kind, status, seconds] of [
    ['backup', 'succeeded', 93.5],
    ['check', 'failed', 1.2],
    ['prune', 'succeeded', 61],
  ]) {
    const series = `rm_job_duration_seconds_sum{kind="${kind}",status="${status}"}`;
    expect(sample(body, series)).toBe(seconds);
  }

  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended, 'nothing keeps the process alive after close()').toBe(0);
});

test('every error code is explained', () => {
  const page = readPage('docs/embedding.md');
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    expect(page).toContain(`| \`${code}\` | ${meaning} |`);
  }
});

test('every field of a host is explained', () => {
  const page = readPage('docs/embedding.md');
  const fields = Object.keys({
    hostId: '',
    host: '',
    online: true,
    reportsByHttp: false,
    lastBackup: { finishedAtMs: 0, succeeded: true },
    lastBackupSuccessMs: 0,
    lastBackupAddedBytes: 0,
    lastCheckSuccessMs: 0,
    backupIntervalSeconds: 0,
    repoSizeBytes: 0,
    repoStatus: 'ready',
    snapshotCount: 0,
    openAlerts: {},
    agentVersion: '',
    resticVersion: '',
    os: '',
    arch: '',
  } satisfies Required<Host>);
  for (const field of fields) expect(page).toMatch(new RegExp(`^\\| .*\`${field}\``, 'm'));
});
