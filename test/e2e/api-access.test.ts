import { describe, expect, it } from 'vitest';
import { askApi } from '../support/api.ts';
import { freePort } from '../support/free-port.ts';
import { ask, RawConnection } from '../support/http.ts';
import { finished, report } from '../support/reports.ts';
import { eventually, Served, sample, TOKEN } from '../support/serve.ts';

const PATHS = ['/api/fleet', '/api/hosts', '/api/hosts/01JD8Z5N3V9Q4R7T2W6X8Y0A1B'];

describe('the API is behind the gates of /metrics', () => {
  it('does not exist without a gate', async () => {
    const served = await Served.start({ RM_METRICS_TOKEN: '' });
    for (const path of PATHS) {
      for (const method of ['GET', 'HEAD', 'POST']) {
        expect((await askApi(served.url, path, { method })).status, `${method} ${path}`).toBe(404);
      }
    }
  });

  it('a wrong token or none is 401, as for /metrics, and says nothing about the fleet', async () => {
    const served = await Served.start();
    await served.addHost('secret-name');
    for (const authorization of [undefined, 'Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`]) {
      const headers = authorization === undefined ? {} : { authorization };
      const scrape = await ask(served.metricsUrl, { headers });
      for (const path of PATHS) {
        const { status, headers: got, body } = await ask(`${served.url}${path}`, { headers });
        expect(status).toBe(scrape.status);
        expect(got['www-authenticate']).toBe('Bearer');
        expect(got['cache-control']).toBe('no-store');
        expect(body).toEqual(scrape.body);
      }
    }
    expect((await ask(`${served.url}/api/fleet?token=${TOKEN}`)).status).toBe(401);
    const { status } = await ask(`${served.url}/api/fleet`, {
      headers: { authorization: `bEaReR ${TOKEN}` },
    });
    expect(status).toBe(200);
    await eventually(() => expect(served.log).toContain('"event":"api_refused","gate":"token"'));
    expect(served.log).not.toContain(TOKEN);
  });

  it('the networks count, and both gates must pass if both are set', async () => {
    const networks = { RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8', RM_TRUSTED_PROXY: '127.0.0.1' };
    const [open, both] = await Promise.all([
      Served.start({ ...networks, RM_METRICS_TOKEN: '' }),
      Served.start(networks),
    ]);
    const from = async ({ url }: Served, client: string, token = TOKEN) => {
      const headers = { 'X-Forwarded-For': client, Authorization: `Bearer ${token}` };
      return (await ask(`${url}/api/hosts`, { headers })).status;
    };
    expect(await from(open, '10.1.2.3', 'none')).toBe(200);
    expect(await from(open, '192.0.2.1')).toBe(401);
    expect(await from(both, '10.1.2.3')).toBe(200);
    expect(await from(both, '10.1.2.3', 'wrong')).toBe(401);
    expect(await from(both, '192.0.2.1')).toBe(401);
    const refused = await ask(`${open.url}/api/fleet`, { headers: { 'X-Forwarded-For': 'bad' } });
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBeUndefined();
  });

  it('is on the listener of /metrics only', async () => {
    const port = await freePort();
    const served = await Served.start({ RM_METRICS_LISTEN: `127.0.0.1:${port}` });
    expect((await askApi(served.url, '/api/fleet')).status).toBe(404);
    expect((await askApi(`http://127.0.0.1:${port}`, '/api/fleet')).status).toBe(200);
  });

  it('is answered by every loop, with everything that was acknowledged before', async () => {
    const served = await Served.start({
      RM_AGENT_THREADS: '3',
      RM_METRICS_EXCLUDE: 'rm_host_info',
    });
    const { host_id, token } = await served.addHost('web');
    for (let n = 0; n < 12; n++) {
      const status = n % 2 === 0 ? 'failed' : 'succeeded';
      await report(served.url, token, [finished(`job-${n}`, { status, exit_code: 100 + n })]);
      const { json } = await askApi(served.url, '/api/hosts');
      expect(json.hosts[0], 'acknowledged before the request').toMatchObject({
        state: n % 2 === 0 ? 'failed' : 'ok',
        last_backup_success: n % 2 !== 0,
      });
      const one = await askApi(served.url, `/api/hosts/${host_id}`);
      expect(one.json.jobs[0]).toMatchObject({ job_id: `job-${n}`, exit_code: 100 + n });
    }
    expect(sample(await served.scrape(), 'rm_api_requests_total{code="200"}')).toBe(24);
    expect(await served.stop()).toBe(0);
  });
});

it('shows also what metrics_exclude keeps out of /metrics', async () => {
  const families = [
    'rm_host_info',
    'rm_host_backup_interval_seconds',
    'rm_host_last_backup_success_timestamp_seconds',
  ];
  const served = await Served.start({ RM_METRICS_EXCLUDE: families.join(',') });
  const { token } = await served.addHost('web');
  const payload = {
    protocol_version: 1,
    agent_version: '1.2',
    restic_version: '0.18.0',
    hostname: 'web',
    backup_interval_seconds: 3_600,
  };
  await report(served.url, token, [{ type: 'hello', payload }, finished('one')]);
  expect((await askApi(served.url, '/api/hosts')).json.hosts).toMatchObject([
    {
      state: 'ok',
      last_success_at: expect.any(String),
      backup_interval_seconds: 3_600,
      agent_version: '1.2',
      restic_version: '0.18.0',
    },
  ]);
  const body = await served.scrape();
  for (const family of families) expect(body).not.toContain(family);
});

describe('clients of the API', () => {
  it('that vanish or do not read cost the others nothing', async () => {
    const served = await Served.start();
    await Promise.all(Array.from({ length: 20 }, (_, n) => served.addHost(`host-${n}`)));
    const raw = await Promise.all(Array.from({ length: 60 }, () => RawConnection.open(served.url)));
    for (const [index, connection] of raw.entries()) {
      if (index % 2 === 0) connection.pause();
      connection.send('GET', '/api/hosts?limit=500', [`Authorization: Bearer ${TOKEN}`]);
      if (index % 2 === 1) connection.vanish();
    }
    const { status, json } = await askApi(served.url, '/api/hosts');
    expect(status).toBe(200);
    expect(json.hosts).toHaveLength(20);
    expect(await served.stop()).toBe(0);
  });

  it('that send several requests at once get an answer to each, or are disconnected', async () => {
    const served = await Served.start();
    const connection = await RawConnection.open(served.url);
    for (let n = 0; n < 50; n++) {
      connection.send('GET', '/api/fleet', [`Authorization: Bearer ${TOKEN}`]);
    }
    await eventually(() => {
      const answers = connection.text.split('HTTP/1.1 200 OK').length - 1;
      if (!connection.isClosed && answers < 50) throw new Error(`${answers} answers`);
    });
    expect((await askApi(served.url, '/api/fleet')).status).toBe(200);
  });
});
