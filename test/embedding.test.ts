import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { shardOf } from '../src/contract/shard.ts';
import { createMetrics, type MetricsOptions } from '../src/index.ts';
import { packageCommit } from '../src/platform/build-info.ts';
import { type TemplatedApp, uws } from '../src/platform/uws.ts';
import { ask } from './support/http.ts';
import { ulidOf } from './support/ulid.ts';

const HEADERS = { Authorization: 'Bearer secret' };

/** Our metrics on an app of somebody else's. */
async function embedded(options: Partial<MetricsOptions> = {}, path?: string) {
  const metrics = createMetrics({ gates: { token: 'secret' }, ...options });
  const app = uws().App();
  metrics.mount(app, path);
  const url = `${await listen(app)}${path ?? '/metrics'}`;
  onTestFinished(async () => {
    await metrics.close();
    app.close();
  });
  return { metrics, url };
}

function listen(app: TemplatedApp): Promise<string> {
  return new Promise((resolve) =>
    app.listen('127.0.0.1', 0, (socket) =>
      resolve(`http://127.0.0.1:${uws().us_socket_local_port(socket || {})}`),
    ),
  );
}

describe('embedded metrics that are closed', () => {
  test('answer scrapes with 503, and refuse strangers as before', async () => {
    const { metrics, url } = await embedded();
    expect((await ask(url, { headers: HEADERS })).status).toBe(200);
    await metrics.close();
    for (let n = 0; n < 3; n++) {
      expect((await ask(url, { headers: HEADERS })).status).toBe(503);
    }
    expect((await ask(url)).status).toBe(401);
  });

  test('tell their embedder why', async () => {
    const failures: unknown[] = [];
    const { metrics, url } = await embedded({ onScrapeFailure: (error) => failures.push(error) });
    await metrics.close();
    await ask(url, { headers: HEADERS });
    expect(failures).toEqual([expect.objectContaining({ code: 'closed' })]);
  });

  test('may be closed twice', async () => {
    const { metrics } = await embedded();
    await metrics.close();
    await metrics.close();
  });
});

test('embedded metrics are at the path that their embedder chooses', async () => {
  const { url } = await embedded({}, '/internal/restic');
  const { status, body } = await ask(url, { headers: HEADERS });
  expect(status).toBe(200);
  expect(body.toString()).toContain('\nrm_hosts_total 0\n');
});

test('families that an embedder excludes are not in its body', async () => {
  const { url } = await embedded({ exclude: ['rm_hosts_pending', 'rm_host_info'] });
  const body = (await ask(url, { headers: HEADERS })).body.toString();
  expect(body).toContain('# TYPE rm_hosts_online gauge\n');
  expect(body).not.toMatch(/rm_hosts_pending|rm_host_info/);
});

test('a body shows the shard, the version and the commit that its embedder chooses', async () => {
  const { metrics, url } = await embedded({
    shard: { index: 2, count: 3 },
    buildInfo: { version: '1.2.3', commit: 'abc' },
  });
  const hostIds = Array.from({ length: 30 }, (_, n) => ulidOf(n));
  for (const hostId of hostIds) metrics.fleet.upsert({ hostId, host: 'web', online: true });
  const body = (await ask(url, { headers: HEADERS })).body.toString();
  const shown = [...body.matchAll(/^rm_host_agent_online\{host_id="(\w+)"/gm)].map(([, id]) => id);
  expect(shown.length).toBeGreaterThan(0);
  expect(shown).toEqual(hostIds.filter((hostId) => shardOf(hostId, 3) === 2));
  expect(body).toContain('\nrm_shard{shard="2",shards="3"} 1\n');
  expect(body).toContain('\nrm_build_info{version="1.2.3",commit="abc",node_version="');
});

test.each([
  [{ shard: { index: 3, count: 3 } }, 'shard: must have index and count'],
  [{ shard: { index: 0, count: 1_001 } }, 'shard: must have index and count'],
  [{ buildInfo: { version: '1' } }, 'buildInfo: must have version and commit'],
  [{ buildInfo: { commit: '1' } }, 'buildInfo: must have version and commit'],
  [{ buildInfo: null }, 'buildInfo: must have version and commit'],
  [{ shard: null }, 'shard: must have index and count'],
  [{ shard: '0/3' }, 'shard: must have index and count'],
  [{ exclude: 'rm_hosts_total' }, 'exclude: must be a list of metric family names'],
  [{ exclude: null }, 'exclude: must be a list of metric family names'],
  [{ gates: null }, 'gates: must be an object such as { token }'],
  [{ gates: { trustedCidrs: '10.0.0.0/8' } }, 'trustedCidrs: must be a list of networks'],
  [{ onScrapeFailure: 'log' }, 'onScrapeFailure: must be a function'],
])('createMetrics refuses %j', (options, message) => {
  expect(() => createMetrics({ gates: {}, ...(options as object) })).toThrow(
    expect.objectContaining({
      code: 'invalid_settings',
      message: expect.stringContaining(message),
    }),
  );
});

test.each([undefined, null, 'secret'])('createMetrics refuses %j as its options', (options) => {
  expect(() => createMetrics(options as never)).toThrow(
    expect.objectContaining({ name: 'RmError', code: 'invalid_settings' }),
  );
});

test('without a token and networks nothing is mounted', async () => {
  const metrics = createMetrics({ gates: { trustedCidrs: [] } });
  onTestFinished(() => metrics.close());
  const app = uws().App();
  onTestFinished(() => void app.close());
  metrics.mount(app);
  app.any('/*', (res) => void res.end('of the embedder'));
  const url = await listen(app);
  expect((await ask(`${url}/metrics`)).body.toString()).toBe('of the embedder');
});

test('a body shows the version and the commit of this package by default', async () => {
  const { url } = await embedded();
  const body = (await ask(url, { headers: HEADERS })).body.toString();
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const labels = `version="${version}",commit="${packageCommit()}",node_version="${process.version}"`;
  expect(body).toContain(`\nrm_build_info{${labels}} 1\n`);
});

test('jobs that another thread counts are in the body', async () => {
  const { metrics, url } = await embedded();
  const program = `
    const { workerData } = require('node:worker_threads');
    import(${JSON.stringify(new URL('../src/index.ts', import.meta.url))}).then(({ attachRegistry }) => {
      const registry = attachRegistry(workerData);
      registry.observeJob('check', 'failed', 1_200);
      registry.series('check', 'failed').observe(2_000);
    });`;
  const worker = new Worker(program, { eval: true, workerData: metrics.registry.shared });
  await once(worker, 'exit');
  metrics.registry.observeJob('check', 'failed', 800);
  metrics.registry.series('prune', 'succeeded').observe(61_000);
  const body = (await ask(url, { headers: HEADERS })).body.toString();
  expect(body).toContain('rm_job_duration_seconds_sum{kind="check",status="failed"} 4\n');
  expect(body).toContain('rm_job_duration_seconds_count{kind="check",status="failed"} 3\n');
  expect(body).toContain('rm_job_duration_seconds_sum{kind="prune",status="succeeded"} 61\n');
});

test('closed metrics end their thread, and do not keep the process of their embedder alive', () => {
  const program = `
    process.on('worker', (worker) => worker.on('exit', () => console.log('thread ended')));
    const { createMetrics } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url))});
    const metrics = createMetrics({ gates: { token: 'secret' } });
    await metrics.close();
    console.log('closed');`;
  const args = ['--input-type=module', '-e', program];
  const { status, stdout } = spawnSync(process.execPath, args, {
    timeout: 20_000,
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([0, 'thread ended\nclosed\n']);
});

test('createMetrics names every error in its options at once', () => {
  const create = () =>
    createMetrics({
      gates: {
        token: 'two words',
        trustedCidrs: ['10.0.0.0/33', 'nonsense'],
        trustedProxies: ['x'],
      },
      exclude: ['rm_hosts_total', 'rm_nothing', 'rm_none'],
      buildInfo: { version: '1' } as never,
    });
  expect(create).toThrow(expect.objectContaining({ code: 'invalid_settings' }));
  let message = '';
  try {
    create();
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message.split('\n').map((line) => line.replace(/: must be .*, not/, ': not'))).toEqual([
    expect.stringMatching(/^token: must be 1 to 1024 visible ASCII characters/),
    'trustedCidrs: not 10.0.0.0/33',
    'trustedCidrs: not nonsense',
    'trustedProxies: not x',
    'exclude: not "rm_nothing"',
    'exclude: not "rm_none"',
    'buildInfo: must have version and commit, both strings',
  ]);
  expect(message).not.toContain('two words');
});

test('createMetrics refuses names that it does not know', () => {
  const options = { gates: { tokn: 'secret', trustedCidrs: [] }, trustedProxies: ['10.0.0.1'] };
  const message = [
    'options: unknown "trustedProxies"; known are gates, buildInfo, exclude, shard, onScrapeFailure',
    'gates: unknown "tokn"; known are token, trustedCidrs, trustedProxies',
  ].join('\n');
  expect(() => createMetrics(options as never)).toThrow(
    expect.objectContaining({ code: 'invalid_settings', message }),
  );
});

test('uWebSockets.js is loaded only by a call of uws()', () => {
  const program = (use: string) => `
    const { uws } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url))});
    ${use}
    const { sharedObjects } = process.report.getReport();
    console.log(sharedObjects.some((path) => /uws/i.test(path)));`;
  const loads = (use: string) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program(use)], {
      encoding: 'utf8',
    }).stdout.trim();
  expect(loads('')).toBe('false');
  expect(loads('uws().App();')).toBe('true');
});
