import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { RawConnection } from '../support/http.ts';
import { codeBlock, readPage } from '../support/page.ts';
import { needs, pathOf } from '../support/programs.ts';
import { finished, postBody, report } from '../support/reports.ts';
import {
  addHosts,
  eventually,
  Served,
  sample,
  TOKEN,
  temporaryDirectory,
} from '../support/serve.ts';

const page = readPage('docs/reverse-proxy.md');
const BEARER = { Authorization: `Bearer ${TOKEN}` };

/** What is documented of a proxy, and how it is started with that. */
interface Documented {
  readonly name: string;
  readonly program: string;
  /** Whether it appends to an `X-Forwarded-For` of its client. Otherwise it replaces the header. */
  readonly appends: boolean;
  /** The page's configuration, with addresses and files of the test and without what needs a certificate. */
  configuration(port: number, upstream: string, directory: string): string;
  args(file: string, directory: string): string[];
}

const NGINX: Documented = {
  name: 'nginx',
  program: 'nginx',
  appends: true,
  configuration(port, upstream, directory) {
    const [main = '', server = ''] = [...page.matchAll(/^```nginx\n(.*?)^```$/gms)].map(
      ([, block]) => block,
    );
    const documented = server
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
${main}
http {
access_log off;
${temporary}
${documented}}
`;
  },
  args: (file, directory) => ['-c', file, '-p', directory],
};

const HAPROXY: Documented = {
  name: 'HAProxy',
  program: 'haproxy',
  appends: true,
  configuration(port, upstream, directory) {
    const documented = codeBlock(page, 'haproxy')
      .replace('maxconn 16000', 'maxconn 4000') // this machine may allow fewer open files
      .replace(/bind :443 ssl crt .*/, `bind 127.0.0.1:${port}`)
      .replaceAll('127.0.0.1:8080', upstream);
    // On this socket it tells what it thinks of the server.
    return documented.replace(
      'global\n',
      `global\n  stats socket ${haproxySocket(directory)} level user\n`,
    );
  },
  args: (file) => ['-db', '-q', '-f', file],
};

const CADDY: Documented = {
  name: 'Caddy',
  program: 'caddy',
  appends: false,
  configuration(port, upstream) {
    const documented = codeBlock(page, 'caddy')
      .replace('backup.example.com {', `http://127.0.0.1:${port} {`)
      .replaceAll('127.0.0.1:8080', upstream);
    return `{
  admin off
  log {
    level ERROR
  }
}
${documented}`;
  },
  args: (file) => ['run', '--config', file, '--adapter', 'caddyfile'],
};

interface Proxy {
  readonly url: string;
  readonly agentUrl: string;
  readonly directory: string;
}

/** @param upstream takes the place of the documented address of the control plane, as `HOST:PORT` */
async function startProxy(documented: Documented, upstream: string): Promise<Proxy> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const file = join(directory, 'proxy.conf');
  writeFileSync(file, documented.configuration(port, upstream, directory));
  const args = documented.args(file, directory);
  const proxy = spawn(pathOf(documented.program), args, { stdio: 'inherit' });
  onTestFinished(() => void proxy.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => expect((await fetch(`${url}/nowhere`)).status).toBe(404));
  return { url, agentUrl: `ws://127.0.0.1:${port}/ws/agent`, directory };
}

for (const documented of [NGINX, HAPROXY, CADDY]) {
  needs(documented.program).describe(`the documented ${documented.name}`, () => {
    test('passes agents on, and tells whose address a scrape has', async () => {
      const served = await Served.start({
        RM_TRUSTED_PROXY: '127.0.0.1',
        RM_METRICS_TOKEN: '',
        RM_METRICS_TRUSTED_CIDR: '192.0.2.0/24',
      });
      const { token } = await served.addHost('behind');
      const proxy = await startProxy(documented, new URL(served.url).host);

      const agent = await TestAgent.online(proxy.agentUrl, token);
      await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
      const { token: cron } = await served.addHost('cron');
      const many = Array.from({ length: 1_000 }, (_, n) => finished(`job-${n}`));
      const answers = await report(proxy.url, cron, many);
      expect(answers.every(({ type }) => type === 'ack')).toBe(true);
      expect((await postBody(proxy.url, 'rmh_wrong', '[]')).status).toBe(401);
      expect((await fetch(`${proxy.url}/agent/restic-report`)).status).toBe(200);

      const scrape = (forwardedFor?: string) =>
        fetch(`${proxy.url}/metrics`, {
          headers: forwardedFor === undefined ? {} : { 'X-Forwarded-For': forwardedFor },
        });
      expect((await fetch(`${proxy.url}/healthz`)).status).toBe(200);
      expect(await (await fetch(`${proxy.url}/`)).text(), 'the status page').toContain(
        '<!doctype html>',
      );
      expect((await fetch(`${proxy.url}/api/fleet`)).status, 'not in the network').toBe(401);
      expect((await scrape()).status, 'its own address is not in the network').toBe(401);
      if (!documented.appends) {
        expect((await scrape('192.0.2.7')).status, 'the claim is replaced').toBe(401);
        return;
      }
      // The client of the proxy is this test, at a trusted address: so what it forwards is believed.
      const response = await scrape('192.0.2.7');
      expect(response.status).toBe(200);
      expect(sample(await response.text(), 'rm_hosts_online')).toBe(2);
      expect((await scrape('192.0.2.7:51234')).status, 'with a port').toBe(200);
      expect((await scrape('198.51.100.1')).status).toBe(401);
      expect((await scrape('192.0.2.7, 198.51.100.1')).status, 'a claim further left').toBe(401);
      expect((await scrape('192.0.2.7, nonsense')).status).toBe(401);
    });

    test('takes nobody for a trusted client whose proxy is not trusted', async () => {
      const served = await Served.start({ RM_METRICS_TRUSTED_CIDR: '192.0.2.0/24' });
      const proxy = await startProxy(documented, new URL(served.url).host);
      const headers = { ...BEARER, 'X-Forwarded-For': '192.0.2.7' };
      expect((await fetch(`${proxy.url}/metrics`, { headers })).status).toBe(401);
    });

    test('tells where its own clients come from, whatever they claim', async () => {
      const served = await Served.start({
        RM_TRUSTED_PROXY: '127.0.0.1',
        RM_METRICS_TOKEN: '',
        RM_METRICS_TRUSTED_CIDR: '127.0.0.5',
      });
      const proxy = await startProxy(documented, new URL(served.url).host);
      expect(await getFrom('127.0.0.5', `${proxy.url}/metrics`)).toBe(200);
      const claim = { 'X-Forwarded-For': '127.0.0.5' };
      expect(await getFrom('127.0.0.6', `${proxy.url}/metrics`, claim)).toBe(401);
      expect(await getFrom('127.0.0.7', `${proxy.url}/ws/agent`)).toBe(401);
      await eventually(() => expect(served.log).toContain('"address":"127.0.0.7"'));
    });

    test('keeps its connection between scrapes, and survives that the server closes it', async () => {
      const served = await Served.start();
      const relay = await startRelay(Number(new URL(served.url).port));
      const proxy = await startProxy(documented, relay.host);
      const scrape = async () => {
        const response = await fetch(`${proxy.url}/metrics`, { headers: BEARER });
        await response.arrayBuffer();
        return response.status;
      };
      for (let scrapes = 0; scrapes < 5; scrapes++) {
        expect(await scrape()).toBe(200);
        await sleep(200);
      }
      expect(relay.scrapingConnections, 'all by the same').toBe(1);
      // As when the server finds the connection idle for too long, at the very moment of the next scrape.
      relay.closesAtNextScrape = true;
      expect(await scrape()).toBe(200);
      expect(relay.scrapingConnections).toBe(2);
    });

    test('has connections for more agents than by default', async () => {
      const served = await Served.start();
      const tokens = await addHosts(served.dataDir, 600);
      const proxy = await startProxy(documented, new URL(served.url).host);
      for (let from = 0; from < tokens.length; from += 50) {
        const some = tokens.slice(from, from + 50);
        await Promise.all(some.map(({ token }) => TestAgent.online(proxy.agentUrl, token)));
      }
      expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(tokens.length);
    });

    test('lets nobody smuggle a request by two lengths', async () => {
      const served = await Served.start();
      const proxy = await startProxy(documented, new URL(served.url).host);
      for (const lengths of [
        ['Content-Length: 0', 'Content-Length: 5'],
        ['Content-Length: 5', 'Content-Length: 0'],
      ]) {
        const connection = await RawConnection.open(proxy.url);
        connection.send('POST', '/metrics', lengths, 'hello');
        await connection.until(({ text }) => text.includes('\r\n\r\n'));
        expect(connection.text).toMatch(/^HTTP\/1\.1 400 /);
      }
      expect(
        sample(await served.scrape(), 'rm_scrapes_total{code="405"}'),
        'none came through',
      ).toBe(0);
    });
  });
}

needs(HAPROXY.program).describe('the documented health check of HAProxy', () => {
  test('sees the server up, and down', async () => {
    const served = await Served.start();
    const { directory } = await startProxy(HAPROXY, new URL(served.url).host);
    const up = { status: 'UP', check_status: 'L7OK', check_code: '200' };
    await eventually(async () => expect(await serverState(directory)).toEqual(up));
    await served.stop();
    await eventually(async () => expect((await serverState(directory)).status).toBe('DOWN'));
  });
});

/** @returns the status of the answer to a client at that address of this machine */
function getFrom(localAddress: string, url: string, headers = {}): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { localAddress, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}

function haproxySocket(directory: string): string {
  return join(directory, 'haproxy.sock');
}

/** https://docs.haproxy.org/2.6/management.html#9.1: the names of the columns, then a line for each thing. */
async function serverState(directory: string) {
  const socket = connect(haproxySocket(directory));
  socket.end('show stat\n');
  const [names = [], ...lines] = (await text(socket)).split('\n').map((line) => line.split(','));
  const server = lines.find((line) => line[names.indexOf('svname')] === 'control-plane-1') ?? [];
  const value = (name: string) => server[names.indexOf(name)];
  return {
    status: value('status'),
    check_status: value('check_status'),
    check_code: value('check_code'),
  };
}

interface Relay {
  /** Where it listens, as `HOST:PORT`. */
  readonly host: string;
  /** Connections that began with a scrape; those of health checks are not among them. */
  scrapingConnections: number;
  closesAtNextScrape: boolean;
}

/** Stands between a proxy and the control plane, to see how the proxy uses its connections. */
async function startRelay(port: number): Promise<Relay> {
  const relay = { scrapingConnections: 0, closesAtNextScrape: false };
  const server = createServer((fromProxy) => {
    const toServer = connect({ host: '127.0.0.1', port });
    let isNew = true;
    fromProxy.on('data', (data) => {
      const isScrape = String(data).startsWith('GET /metrics ');
      if (isScrape && relay.closesAtNextScrape) {
        relay.closesAtNextScrape = false;
        return void fromProxy.destroy();
      }
      if (isScrape && isNew) relay.scrapingConnections++;
      isNew = false;
      toServer.write(data);
    });
    fromProxy.on('close', () => toServer.destroy());
    fromProxy.on('error', () => {});
    toServer.on('error', () => fromProxy.destroy());
    toServer.pipe(fromProxy);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as AddressInfo;
  return Object.assign(relay, { host: `127.0.0.1:${own}` });
}
