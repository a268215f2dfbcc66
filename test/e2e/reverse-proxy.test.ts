import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { eventually, Served, sample, TOKEN, temporaryDirectory } from '../support/serve.ts';

const NGINX = '/usr/sbin/nginx';
const page = readFileSync(new URL('../../docs/reverse-proxy.md', import.meta.url), 'utf8');

/** The page's configuration, with addresses and files of the test and without what needs a certificate. */
function configuration(port: number, upstream: string, directory: string): string {
  const documented = /```nginx\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const server = documented
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replaceAll(/^ *ssl_certificate.*\n/gm, '')
    .replaceAll('127.0.0.1:8080', upstream);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(directory, name)};`)
    .join('\n');
  return `daemon off;
master_process off;
pid ${join(directory, 'nginx.pid')};
error_log stderr crit;
events {}
http {
access_log off;
${temporary}
${server}}
`;
}

async function startNginx(upstream: string): Promise<string> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, configuration(port, upstream, directory));
  const nginx = spawn(NGINX, ['-c', file, '-p', directory], { stdio: 'inherit' });
  onTestFinished(() => void nginx.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => expect((await fetch(url)).status).toBe(404));
  return url;
}

// On a developer's machine nginx may be missing; where the whole check runs, it must be there.
describe.skipIf(!existsSync(NGINX) && !process.env.CI)('the documented nginx', () => {
  test('passes agents on, and tells whose address a scrape has', async () => {
    const served = await Served.start({
      RM_TRUSTED_PROXY: '127.0.0.1',
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '192.0.2.0/24',
    });
    const { token } = await served.addHost('behind');
    const proxy = await startNginx(new URL(served.url).host);

    const agent = await TestAgent.online(`${proxy.replace('http', 'ws')}/ws/agent`, token);
    await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });

    const scrape = (forwardedFor?: string) =>
      fetch(`${proxy}/metrics`, {
        headers: forwardedFor === undefined ? {} : { 'X-Forwarded-For': forwardedFor },
      });
    // The client of nginx is this test, at a trusted address: so what it forwards is believed.
    const response = await scrape('192.0.2.7');
    expect(response.status).toBe(200);
    expect(sample(await response.text(), 'rm_hosts_online')).toBe(1);
    expect((await scrape()).status, 'its own address is not in the network').toBe(401);
    expect((await scrape('198.51.100.1')).status).toBe(401);
    expect((await scrape('192.0.2.7, 198.51.100.1')).status, 'a claim further left').toBe(401);
    expect((await scrape('192.0.2.7, nonsense')).status).toBe(401);
  });

  test('takes nobody for a trusted client whose proxy is not trusted', async () => {
    const served = await Served.start({ RM_METRICS_TRUSTED_CIDR: '192.0.2.0/24' });
    const proxy = await startNginx(new URL(served.url).host);
    const headers = { Authorization: `Bearer ${TOKEN}`, 'X-Forwarded-For': '192.0.2.7' };
    expect((await fetch(`${proxy}/metrics`, { headers })).status).toBe(401);
  });
});
