import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { type Certificate, createCertificate } from '../support/certificate.ts';
import { type Answer, type Ask, ask, RawConnection } from '../support/http.ts';
import { needs } from '../support/programs.ts';
import {
  aboutFleet,
  cli,
  Served,
  sample,
  servedForAll,
  TOKEN,
  temporaryDirectory,
} from '../support/serve.ts';

const BEARER = { Authorization: `Bearer ${TOKEN}` };
const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';
const LAST_ROW = '\nrm_store_pending_operations 0\n';
const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** What of an answer another one may be compared with: all but the date. */
function comparable({ status, headers: { date: _, ...headers }, body }: Answer) {
  const { 'content-length': _length, ...others } = headers;
  return { status, headers: others, body: aboutFleet(body.toString()) };
}

/** A 401 tells nothing: not even that there is something to tell. */
function expectRefusal(answer: Answer, challenge: 'Bearer' | undefined): void {
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toBe(challenge);
  expect(answer.body.toString()).not.toContain('rm_');
}

describe('without a gate', () => {
  const served = servedForAll({ RM_METRICS_TOKEN: '', RM_METRICS_TRUSTED_CIDR: '' });

  test.each(['GET', 'HEAD', ...METHODS])('%s /metrics is as any unknown path', async (method) => {
    const headers = BEARER;
    const metrics = await ask(`${served().url}/metrics`, { method, headers });
    const unknown = await ask(`${served().url}/no-such-path`, { method, headers });
    expect(metrics.status).toBe(404);
    expect(metrics.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(comparable(metrics)).toEqual(comparable(unknown));
  });

  test('healthz is ok', async () => {
    const { status, body } = await ask(`${served().url}/healthz`);
    expect([status, body.toString()]).toEqual([200, 'ok']);
  });
});

describe('with a token', () => {
  const served = servedForAll();
  const scrape = (how: Ask = {}) =>
    ask(served().metricsUrl, { ...how, headers: { ...BEARER, ...how.headers } });

  test.each([
    undefined,
    '*/*',
    'text/plain;version=0.0.4',
    'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5',
    'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited',
    'text/html',
  ])('the content type is that of the text format when Accept is %s', async (accept) => {
    const { status, headers, body } = await scrape({ headers: accept ? { Accept: accept } : {} });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe(TEXT_FORMAT);
    expect(body.toString()).toMatch(
      /^# HELP nodejs_eventloop_lag_p99_seconds [\s\S]*\n# TYPE rm_active_alerts [\s\S]*\n$/,
    );
  });

  test.each(['gzip', 'gzip, deflate, br', 'GZIP', '*', 'br;q=1, gzip;q=0.1', 'identity;q=0, gzip'])(
    'Accept-Encoding: %s is answered with gzip',
    async (accepted) => {
      const plain = await scrape();
      const { headers, body } = await scrape({ headers: { 'Accept-Encoding': accepted } });
      expect(headers['content-encoding']).toBe('gzip');
      expect(headers['content-type']).toBe(TEXT_FORMAT);
      expect(aboutFleet(gunzipSync(body).toString())).toBe(aboutFleet(plain.body.toString()));
    },
  );

  test.each([undefined, '', 'identity', 'br', 'gzip;q=0', 'gzip;q=0.000, *', '*;q=0'])(
    'Accept-Encoding: %s is answered plainly',
    async (accepted) => {
      const how = accepted === undefined ? {} : { headers: { 'Accept-Encoding': accepted } };
      const { headers, body } = await scrape(how);
      expect(headers).not.toHaveProperty('content-encoding');
      expect(body.toString()).toMatch(/^# HELP /);
    },
  );

  test('HEAD has the headers of GET and no body, and leaves the connection usable', async () => {
    const connection = await RawConnection.open(served().url);
    const authorization = `Authorization: Bearer ${TOKEN}`;
    connection.send('HEAD', '/metrics', [authorization]);
    connection.send('HEAD', '/metrics', [authorization, 'Accept-Encoding: gzip']);
    connection.send('HEAD', '/metrics');
    connection.send('HEAD', '/healthz');
    connection.send('HEAD', '/no-such-path');
    connection.send('GET', '/healthz');
    await connection.until(({ text }) => text.endsWith('ok'));
    // Any byte of a body would stand between an empty line and the next status line.
    const answers = connection.text.split('\r\n\r\n');
    expect(answers.map((answer) => answer.split('\r\n')[0])).toEqual([
      'HTTP/1.1 200 OK',
      'HTTP/1.1 200 OK',
      'HTTP/1.1 401 Unauthorized',
      'HTTP/1.1 200 OK',
      'HTTP/1.1 404 Not Found',
      'HTTP/1.1 200 OK',
      'ok',
    ]);
    expect(answers[0]).toContain(`\r\nContent-Type: ${TEXT_FORMAT}`);
    expect(answers[0]).not.toContain('Content-Encoding');
    expect(answers[1]).toContain('\r\nContent-Encoding: gzip');
    expect(answers[2]).toContain('\r\nWWW-Authenticate: Bearer');
  });

  test('a connection serves one scrape after the other', async () => {
    const connection = await RawConnection.open(served().url);
    for (let scrapes = 1; scrapes <= 3; scrapes++) {
      connection.send('GET', '/metrics', [`Authorization: Bearer ${TOKEN}`]);
      await connection.until(({ text }) => text.split(LAST_ROW).length > scrapes);
    }
  });

  test.each([
    ['no token', {}],
    ['a wrong one', { Authorization: 'Bearer wrong' }],
    ['a part of it', { Authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
    ['more than it', { Authorization: `Bearer ${TOKEN}x` }],
    ['it in another case', { Authorization: `Bearer ${TOKEN.toUpperCase()}` }],
    ['it without a scheme', { Authorization: TOKEN }],
    ['another scheme', { Authorization: `Basic ${btoa(`:${TOKEN}`)}` }],
    ['it in another header', { 'X-Api-Key': TOKEN, 'X-Forwarded-For': '127.0.0.1' }],
  ])('%s is refused, for GET and HEAD', async (_, headers) => {
    for (const method of ['GET', 'HEAD']) {
      expectRefusal(await ask(served().metricsUrl, { method, headers }), 'Bearer');
    }
  });

  test.each(['bearer', 'BEARER', 'bEaReR'])('the scheme may be written %s', async (scheme) => {
    const answer = await ask(served().metricsUrl, {
      headers: { Authorization: `${scheme} ${TOKEN}` },
    });
    expect(answer.status).toBe(200);
  });

  test('a token in the URL is not looked at', async () => {
    const { metricsUrl } = served();
    for (const query of [`token=${TOKEN}`, `access_token=${TOKEN}`, `bearer=${TOKEN}`, TOKEN]) {
      expectRefusal(await ask(`${metricsUrl}?${query}`), 'Bearer');
    }
  });

  test('a query string changes nothing', async () => {
    const answer = await ask(`${served().metricsUrl}?collect[]=hosts&x=%00`, { headers: BEARER });
    expect(answer.status).toBe(200);
    expect(comparable(answer)).toEqual(comparable(await scrape()));
  });

  test.each(METHODS)('%s is not allowed, with the token or without', async (method) => {
    for (const headers of [{}, BEARER]) {
      const answer = await ask(served().metricsUrl, { method, headers });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe('GET, HEAD');
      expect(answer.body.toString()).not.toContain('rm_');
    }
  });

  test('a POST with a body leaves the connection usable', async () => {
    const connection = await RawConnection.open(served().url);
    connection.send('POST', '/metrics', ['Content-Length: 5'], 'hello');
    connection.send('GET', '/healthz');
    await connection.until(({ text }) => text.endsWith('\r\n\r\nok'));
    expect(connection.text).toMatch(/^HTTP\/1\.1 405 [\s\S]*\nHTTP\/1\.1 200 OK\r\n/);
  });

  test('healthz and the status page need no token, an unknown path has no content', async () => {
    const { url } = served();
    const health = await ask(`${url}/healthz`);
    expect([health.status, health.body.toString()]).toEqual([200, 'ok']);
    const page = await ask(`${url}/`);
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    for (const path of ['/index.html', '/metrics/', '/metricsx', '/Metrics', '/ws']) {
      expect((await ask(url + path, { headers: BEARER })).status, path).toBe(404);
    }
  });
});

describe('with trusted networks', () => {
  test('the peer counts, and without a proxy X-Forwarded-For does not', async () => {
    const inside = await Served.start({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '127.0.0.1, ::1',
    });
    expect((await ask(inside.metricsUrl)).status).toBe(200);
    const headers = { 'X-Forwarded-For': '203.0.113.9' };
    expect((await ask(inside.metricsUrl, { headers })).status).toBe(200);

    const outside = await Served.start({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8',
    });
    expectRefusal(await ask(outside.metricsUrl), undefined);
    const spoofed = { 'X-Forwarded-For': '10.1.2.3' };
    for (const method of ['GET', 'HEAD']) {
      expectRefusal(await ask(outside.metricsUrl, { method, headers: spoofed }), undefined);
    }
    expect((await ask(`${outside.url}/healthz`)).status).toBe(200);
  });

  describe('behind a proxy', () => {
    const served = servedForAll({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8,2001:db8::/32',
      RM_TRUSTED_PROXY: '127.0.0.1,10.9.0.0/16',
    });

    test.each([
      [200, ['10.1.2.3']],
      [200, ['203.0.113.9, 10.1.2.3']],
      [200, ['nonsense, 10.1.2.3']],
      [200, ['10.1.2.3, 10.9.0.1, 127.0.0.1']],
      [200, ['10.1.2.3', '10.9.0.1']],
      [200, ['203.0.113.9', '10.1.2.3']],
      [200, ['2001:db8::7']],
      [200, ['::ffff:10.1.2.3']],
      [200, ['10.9.0.1']],
      [401, []],
      [401, ['203.0.113.9']],
      [401, ['10.1.2.3, 203.0.113.9']],
      [401, ['10.1.2.3', '203.0.113.9']],
      [401, ['10.1.2.3', '203.0.113.9', '10.9.0.1']],
      [401, ['10.1.2.3, nonsense']],
      [401, ['nonsense', '10.9.0.1']],
      [401, ['10.1.2.3,']],
      [401, ['']],
      [401, ['10.1.2.3', '']],
      [200, ['10.1.2.3:4711']],
      [200, ['[2001:db8::7]:443']],
      [401, ['203.0.113.9:4711']],
      [401, ['10.1.2.3:65536']],
      [401, ['10.1.2.3:']],
    ])('%i for X-Forwarded-For lines %j', async (status, lines) => {
      const connection = await RawConnection.open(served().url);
      const headers = lines.map((line) => `X-Forwarded-For: ${line}`);
      connection.send('GET', '/metrics', [...headers, 'Connection: close']);
      await connection.until(({ text }) => text.includes('\r\n\r\n'));
      expect(connection.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    });
  });

  test('both gates must let a scrape pass', async () => {
    const served = await Served.start({
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8',
      RM_TRUSTED_PROXY: '127.0.0.1',
    });
    const from = (address: string) => ({ 'X-Forwarded-For': address });
    const get = (headers: Record<string, string>) => ask(served.metricsUrl, { headers });
    expect((await get({ ...BEARER, ...from('10.0.0.1') })).status).toBe(200);
    expectRefusal(await get({ ...BEARER, ...from('11.0.0.1') }), 'Bearer');
    expectRefusal(await get(from('10.0.0.1')), 'Bearer');
    expectRefusal(await get({}), 'Bearer');
  });
});

describe('listeners', () => {
  test('metrics_listen serves the metrics, and then the agents’ listener does not', async () => {
    const served = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0' });
    expect(served.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect(served.metricsUrl).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/);
    expect(new URL(served.metricsUrl).host).not.toBe(new URL(served.url).host);
    expect(sample(await served.scrape(), 'rm_hosts_total')).toBe(0);

    const onMain = await ask(`${served.url}/metrics`, { headers: BEARER });
    const unknown = await ask(`${served.url}/no-such-path`, { headers: BEARER });
    expect(onMain.status).toBe(404);
    expect(comparable(onMain)).toEqual(comparable(unknown));
    const metricsOrigin = new URL(served.metricsUrl).origin;
    expect((await ask(`${metricsOrigin}/ws/agent`)).status, 'no agents there').toBe(404);
    for (const origin of [served.url, metricsOrigin]) {
      expect((await ask(`${origin}/healthz`)).status).toBe(200);
    }
  });

  needs('openssl').test.each([
    ['1', undefined],
    ['1', '127.0.0.1:0'],
    ['2', undefined],
    ['2', '127.0.0.1:0'],
  ])('TLS with agent_threads=%s and metrics_listen=%s', async (threads, metricsListen) => {
    const served = await Served.start({
      ...tlsVariables(),
      RM_AGENT_THREADS: threads,
      ...(metricsListen && { RM_METRICS_LISTEN: metricsListen }),
    });
    expect(served.url).toMatch(/^https:/);
    expect(served.metricsUrl).toMatch(/^https:/);
    const { host_id: id, token } = await served.addHost('tls');
    for (let i = 0; i < 3; i++) {
      // A connection each, so that every loop has its turn.
      const agent = await TestAgent.online(served.agentUrl, token, { rejectUnauthorized: false });
      await agent.job({ id: `${i}`, kind: 'backup', status: 'succeeded' });
      const plain = await ask(served.metricsUrl, { headers: BEARER });
      expect(plain.status).toBe(200);
      const body = plain.body.toString();
      expect(sample(body, `rm_host_agent_online{host_id="${id}",host="tls"}`)).toBe(1);
      const count = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
      expect(sample(body, count)).toBe(i + 1);
      const headers = { ...BEARER, 'Accept-Encoding': 'gzip' };
      const gzip = await ask(served.metricsUrl, { headers });
      expect(aboutFleet(gunzipSync(gzip.body).toString())).toBe(aboutFleet(body));
      expectRefusal(await ask(served.metricsUrl), 'Bearer');
      expect((await ask(`${served.url}/healthz`)).body.toString()).toBe('ok');
    }
    const unencrypted = served.metricsUrl.replace('https:', 'http:');
    await expect(ask(unencrypted, { headers: BEARER }), 'no plain HTTP there').rejects.toThrow();
    expect(await served.stop()).toBe(0);
  });

  test('an IPv6 address in brackets', async () => {
    const served = await Served.start({
      RM_LISTEN: '[::1]:0',
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '::1',
    });
    expect(served.url).toMatch(/^http:\/\/\[::1\]:[1-9]\d*$/);
    expect((await ask(served.metricsUrl)).status).toBe(200);
  });

  test('an IPv4 client of an IPv6 socket is known by its IPv4 address', async () => {
    const served = await Served.start({
      RM_LISTEN: '[::]:0',
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '127.0.0.0/8',
    });
    const { port } = new URL(served.url);
    expect((await ask(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
    expect((await ask(`http://[::1]:${port}/metrics`)).status, 'not in 127/8').toBe(401);
  });
});

describe('starting and ending', () => {
  test.each(['RM_LISTEN', 'RM_METRICS_LISTEN'])('a taken port in %s', async (variable) => {
    const taken = await takenPort();
    const { code, stdout, stderr } = await cli(['serve'], {
      RM_LISTEN: '127.0.0.1:0',
      RM_DATA_DIR: temporaryDirectory(),
      RM_METRICS_TOKEN: TOKEN,
      RM_LOG_LEVEL: 'silent',
      [variable]: `127.0.0.1:${taken}`,
    });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      `restic-manager: 127.0.0.1:${taken}: cannot listen; another program uses the port; stop it, or set another address\n`,
    );
  });

  test('an address of another machine is no address to listen on', async () => {
    const { code, stderr } = await cli(['serve'], {
      RM_LISTEN: '192.0.2.1:0',
      RM_DATA_DIR: temporaryDirectory(),
      RM_LOG_LEVEL: 'silent',
    });
    expect([code, stderr]).toEqual([
      1,
      'restic-manager: 192.0.2.1:0: cannot listen; this machine does not have the address\n',
    ]);
  });

  test('the port of another restic-manager is taken, too', async () => {
    const served = await Served.start();
    const { code, stderr } = await cli(['serve'], {
      RM_LISTEN: new URL(served.url).host,
      RM_DATA_DIR: temporaryDirectory(),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('cannot listen');
  });

  test('a data directory is served once at a time', async () => {
    const served = await Served.start();
    const { code, stdout, stderr } = await cli(['serve'], {
      RM_LISTEN: '127.0.0.1:0',
      RM_DATA_DIR: served.dataDir,
    });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      `restic-manager: ${served.dataDir}: another restic-manager serves this data directory; ` +
        'stop it or set another data_dir\n',
    );
    expect((await ask(`${served.url}/healthz`)).status).toBe(200);
  });

  test('a data directory that cannot be one', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    const { code, stderr } = await cli(['serve'], {
      RM_LISTEN: '127.0.0.1:0',
      RM_DATA_DIR: file,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^restic-manager: .*\/file\/fleet\.db: /);
    expect(stderr).not.toContain('    at ');
  });

  test('every error in the settings is listed with its source, and no secret', async () => {
    const config = join(temporaryDirectory(), 'rm.yaml');
    writeFileSync(
      config,
      'listen: nowhere\nmetrics_tokn: hunter-1\nagent_threads: 0\nmetrics_token: "hunter 2"\n',
    );
    const { code, stdout, stderr } = await cli(['serve', '--config', config], {
      RM_METRICS_LISTEN: '127.0.0.1:99999',
      RM_METRICS_TOKEN: 'hunter 3',
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8, 10.0.0.0/33',
      RM_LOG_LEVEL: 'loud',
      RM_TLS_CERT_FILE: '/nowhere/cert.pem',
    });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/hunter/);
    const sources = stderr.match(/(?<=^restic-manager: )(\S+\.yaml: )?\w+(?=: )/gm);
    expect(new Set(sources)).toEqual(
      new Set([
        `${config}: listen`,
        `${config}: metrics_tokn`,
        `${config}: agent_threads`,
        `${config}: metrics_token`,
        'RM_METRICS_LISTEN',
        'RM_METRICS_TOKEN',
        'RM_METRICS_TRUSTED_CIDR',
        'RM_LOG_LEVEL',
        'RM_TLS_CERT_FILE',
      ]),
    );
  });

  test('an unreadable configuration file is an error', async () => {
    const { code, stderr } = await cli(['serve'], { RM_CONFIG: '/nowhere/rm.yaml' });
    expect(code).toBe(2);
    expect(stderr).toContain('/nowhere/rm.yaml: cannot be read');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends it with 0, whoever is there',
    async (signal) => {
      const served = await Served.start();
      const { token } = await served.addHost('stays');
      const agent = await TestAgent.online(served.agentUrl, token);
      const idle = await RawConnection.open(served.url);
      idle.send('GET', '/healthz');
      await idle.until(({ text }) => text.endsWith('ok'));
      await RawConnection.open(served.url); // and one that never says a word
      expect(await served.stop(signal)).toBe(0);
      expect((await agent.closed).code).toBe(1012);
    },
  );
});

function tlsVariables(): { RM_TLS_CERT_FILE: string; RM_TLS_KEY_FILE: string } {
  const { cert, key }: Certificate = createCertificate(temporaryDirectory());
  return { RM_TLS_CERT_FILE: cert, RM_TLS_KEY_FILE: key };
}

/** A port that somebody else listens on until the test is over. */
async function takenPort(): Promise<number> {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}
