import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ReportingHost } from '../restic-report/rig.ts';
import { readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { Served, sample, temporaryDirectory } from '../support/serve.ts';

const page = readPage('docs/restic-report.md');

needs('curl').test(
  'the steps of the page lead from nothing to the first backup in the metrics',
  async () => {
    const served = await Served.start();
    const { token } = await served.addHost('web-1');
    const directory = temporaryDirectory();
    const there = (text: string) =>
      text
        .replaceAll('https://backup.example.com', served.url)
        .replaceAll('rmh_...', token)
        .replaceAll('/usr/local/bin', directory)
        .replaceAll('/etc/restic-report.conf', join(directory, 'restic-report.conf'))
        .replaceAll('/srv/restic', join(directory, 'repository'))
        .replaceAll('/etc/restic-password', join(directory, 'password'));
    const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) =>
      there(block),
    );
    const [, fetched = '', configured = '', tested = '', ...others] = blocks;
    const ran = others.find((block) => block.includes('\nrestic-report -- restic backup')) ?? '';
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    writeFileSync(
      join(bin, 'restic'),
      '#!/bin/sh\n[ "$1" != version ] || echo restic 0.18.0 compiled with go on linux/amd64\n',
    );
    chmodSync(join(bin, 'restic'), 0o755);
    const env = {
      ...process.env,
      PATH: `${directory}:${bin}:${process.env.PATH}`,
      RESTIC_REPORT_CONFIG: join(directory, 'restic-report.conf'),
      RESTIC_REPORT_SPOOL: join(directory, 'spool'),
    };
    const printed = execFileSync('sh', ['-ec', fetched + configured + tested + ran], {
      env,
      encoding: 'utf8',
    });
    expect(printed).toMatch(/^restic-report \d/);
    expect(printed.match(/^ {2}(ok|FAIL) /gm)).toEqual(Array.from({ length: 6 }, () => '  ok '));
    const body = await served.scrape();
    expect(sample(body, 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}')).toBe(1);
    expect(body).toMatch(/rm_host_backup_interval_seconds{.*} 86400/);
  },
);

needs('restic', 'curl').describe('with restic', () => {
  test('the plain script of the page reports with curl alone', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('web-1');
    const host = new ReportingHost(served.url, token);
    const variables = host.repository();
    const script = [...page.matchAll(/```sh\n(#!\/bin\/sh[\s\S]*?)```/g)][0]?.[1] ?? '';
    const tokenFile = join(host.directory, 'token');
    writeFileSync(tokenFile, token);
    const env = { ...process.env, ...variables, RM_URL: served.url };
    const run = (text: string, more = {}) =>
      spawnSync('sh', ['-c', text], {
        env: { ...env, ...more } as NodeJS.ProcessEnv,
        encoding: 'utf8',
      });
    const own = script
      .replace('/etc/restic-token', tokenFile)
      .replace('backup /etc', `backup ${host.files}`);
    const { status, stdout } = run(own);
    expect([status, stdout]).toEqual([0, expect.stringContaining('"type":"ack"')]);
    expect(run(own, { RESTIC_PASSWORD: 'wrong' }).status).toBe(1);
    const body = await served.scrape();
    expect(sample(body, 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}')).toBe(1);
    expect(sample(body, 'rm_job_duration_seconds_count{kind="backup",status="failed"}')).toBe(1);
  });
});
