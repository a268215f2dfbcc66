import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { FAMILIES } from '../../src/shared/families.ts';
import { TestAgent } from '../support/agent.ts';
import { ask } from '../support/http.ts';
import { cli, eventually, Served, sample, TOKEN } from '../support/serve.ts';

const HOUR = 3_600_000;
const at = (ms: number) => new Date(ms).toISOString();

describe('a host that reports all it can', () => {
  test('shows what its agent runs, its interval, and its last successes', async () => {
    const served = await Served.start();
    const { host_id: id, token } = await served.addHost('db');
    const agent = await TestAgent.connect(served.agentUrl, token);
    agent.hello({
      agent_version: '2.1\u001b[31m "x"',
      restic_version: '0.18.1',
      arch: 'arm64',
      backup_interval_seconds: 43_200,
    });
    await agent.receive('welcome');
    const labels = `host_id="${id}",host="db"`;
    const body = await served.scrape();
    const info = 'agent_version="2.1\ufffd[31m \\"x\\"",restic_version="0.18.1",os="",arch="arm64"';
    expect(body).toContain(`rm_host_info{${labels},${info}} 1\n`);
    const value = async (family: string) => sample(await served.scrape(), `${family}{${labels}}`);
    expect(await value('rm_host_backup_interval_seconds')).toBe(43_200);

    const now = Date.now();
    let jobs = 0;
    const finish = (kind: string, status: string, endMs: number, summary?: object) => {
      const times = { started_at: at(endMs - 90_500), finished_at: at(endMs) };
      const payload = { job_id: `${++jobs}`, kind, status, ...times, summary };
      return agent.report('job.finished', payload, `m${jobs}`);
    };
    await finish('backup', 'succeeded', now - 3 * HOUR, { bytes_added: 777 });
    await finish('check', 'succeeded', now - 2 * HOUR);
    await finish('backup', 'failed', now - HOUR);
    await finish('check', 'failed', now - HOUR);
    expect(await value('rm_host_last_backup_success')).toBe(0);
    expect(await value('rm_host_last_backup_timestamp_seconds')).toBe((now - HOUR) / 1000);
    expect(await value('rm_host_last_backup_success_timestamp_seconds')).toBe(
      (now - 3 * HOUR) / 1000,
    );
    expect(await value('rm_host_last_check_success_timestamp_seconds')).toBe(
      (now - 2 * HOUR) / 1000,
    );
    expect(await value('rm_host_last_backup_duration_seconds')).toBe(90.5);
    expect(await value('rm_host_last_backup_added_bytes')).toBe(777);
    await finish('backup', 'succeeded', now - 2 * HOUR);
    expect(await value('rm_host_last_backup_success'), 'reported late').toBe(0);
    expect(await value('rm_host_last_backup_success_timestamp_seconds')).toBe(
      (now - 2 * HOUR) / 1000,
    );

    await served.stop();
    const again = await Served.start({}, served.dataDir);
    const fleetOnly = (text: string) =>
      text.split('\n').filter((line) => /^rm_host_(last|info|backup)/.test(line));
    expect(fleetOnly(await again.scrape()), 'the same after a restart').toHaveLength(8);
    expect(await again.scrape()).toContain(`rm_host_last_backup_added_bytes{${labels}} 777\n`);
  });
});

test('pending hosts are counted until they connect or are removed', async () => {
  const served = await Served.start();
  const pending = async () => sample(await served.scrape(), 'rm_hosts_pending');
  expect(await pending()).toBe(0);
  const { token } = await served.addHost('a');
  const { host_id: b } = await served.addHost('b');
  await eventually(async () => expect(await pending()).toBe(2));
  expect(sample(await served.scrape(), 'rm_hosts_total')).toBe(0);
  await TestAgent.online(served.agentUrl, token);
  expect(await pending()).toBe(1);
  const env = { RM_DATA_DIR: served.dataDir };
  await cli(['hosts', 'token', b], env);
  expect(await pending(), 'another token makes it no other host').toBe(1);
  await cli(['hosts', 'remove', b], env);
  await eventually(async () => expect(await pending()).toBe(0));
  const { host_id: c } = await served.addHost('c');
  await eventually(async () => expect(await pending()).toBe(1));
  await served.stop();
  const again = await Served.start({}, served.dataDir);
  expect(sample(await again.scrape(), 'rm_hosts_pending'), c).toBe(1);
});

test('families of metrics_exclude are not in the body, and all others are', async () => {
  const exclude = [
    'rm_host_info',
    'rm_job_duration_seconds',
    'rm_hosts_online',
    'process_cpu_seconds_total',
  ];
  const served = await Served.start({ RM_METRICS_EXCLUDE: exclude.join(',') });
  const { token } = await served.addHost('a');
  const agent = await TestAgent.online(served.agentUrl, token);
  await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
  const body = await served.scrape();
  const names = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  expect(names).toEqual(FAMILIES.map(({ name }) => name).filter((name) => !exclude.includes(name)));
  for (const name of exclude) expect(body).not.toContain(name);
  expect(body).toContain('rm_host_last_backup_success{');
  const memory = Number(/^process_resident_memory_bytes (\S+)$/m.exec(body)?.[1]);
  expect(memory, 'the other values of the process are read').toBeGreaterThan(1e6);
});

test('a body without any family is empty, and the server continues', async () => {
  const exclude = FAMILIES.map(({ name }) => name).join(',');
  const served = await Served.start({ RM_METRICS_EXCLUDE: exclude });
  const Authorization = `Bearer ${TOKEN}`;
  const plain = await ask(served.metricsUrl, { headers: { Authorization } });
  expect([plain.status, plain.body.length]).toEqual([200, 0]);
  const headers = { Authorization, 'Accept-Encoding': 'gzip' };
  const { status, body } = await ask(served.metricsUrl, { headers });
  expect([status, gunzipSync(body).length]).toEqual([200, 0]);
});
