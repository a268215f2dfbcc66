import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { aboutFleet, eventually, Served, sample, temporaryDirectory } from '../support/serve.ts';

/** The series of one host, whatever its family. */
function hostRows(body: string, hostId: string): string[] {
  return body.split('\n').filter((line) => line.includes(`host_id="${hostId}"`));
}

function histogram(body: string, kind: string, status: string): string[] {
  return body
    .split('\n')
    .filter((line) => line.includes(`{kind="${kind}",status="${status}"`))
    .map((line) => line.replace(/^rm_job_duration_seconds_|kind=.*?,status="\w+",?/g, ''));
}

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, seconds)).toISOString();

describe('agents in, scrape out', () => {
  test('a day in the life of a host shows exactly', async () => {
    const served = await Served.start();
    const { host_id: id, token } = await served.addHost('näs "büro" \\ 1');
    expect(hostRows(await served.scrape(), id), 'pending hosts have no rows').toEqual([]);

    const agent = await TestAgent.connect(served.agentUrl, token);
    agent.hello({ restic_version: '0.17.3', os: 'linux', arch: 'amd64', boot_time: at(0) });
    const { payload } = await agent.receive('welcome');
    expect(payload).toEqual({ host_id: id, host: 'näs "büro" \\ 1', heartbeat_seconds: 30 });
    agent.send('heartbeat', { sent_at: at(1) });
    const host = `host_id="${id}",host="näs \\"büro\\" \\\\ 1"`;
    const runs = 'agent_version="1.0.0",restic_version="0.17.3",os="linux",arch="amd64"';
    const info = `rm_host_info{${host},${runs}} 1`;
    expect(hostRows(await served.scrape(), id)).toEqual([
      `rm_host_agent_online{${host}} 1`,
      info,
      `rm_host_open_alerts{${host}} 0`,
      `rm_host_repo_status{${host},status="unknown"} 1`,
      `rm_host_snapshot_count{${host}} 0`,
    ]);

    await agent.job({ id: 'i', kind: 'init', status: 'succeeded', durationMs: 250 });
    await agent.report('repo.stats', { total_size_bytes: 123_456_789_012 }, 's1');
    await agent.report('repo.stats', { snapshot_count: 7 }, 's2');
    await agent.job({
      id: 'b',
      kind: 'backup',
      status: 'succeeded',
      finishedAt: '2026-01-02T04:04:05.670999999+01:00',
      durationMs: 61_500,
      announce: true,
    });
    const body = await served.scrape();
    expect(hostRows(body, id)).toEqual([
      `rm_host_agent_online{${host}} 1`,
      info,
      `rm_host_last_backup_duration_seconds{${host}} 61.5`,
      `rm_host_last_backup_success{${host}} 1`,
      `rm_host_last_backup_success_timestamp_seconds{${host}} 1767323045.67`,
      `rm_host_last_backup_timestamp_seconds{${host}} 1767323045.67`,
      `rm_host_open_alerts{${host}} 0`,
      `rm_host_repo_size_bytes{${host}} 123456789012`,
      `rm_host_repo_status{${host},status="ready"} 1`,
      `rm_host_snapshot_count{${host}} 7`,
    ]);
    expect(histogram(body, 'backup', 'succeeded')).toEqual([
      'bucket{le="1"} 0',
      'bucket{le="5"} 0',
      'bucket{le="30"} 0',
      'bucket{le="60"} 0',
      'bucket{le="300"} 1',
      'bucket{le="1800"} 1',
      'bucket{le="3600"} 1',
      'bucket{le="21600"} 1',
      'bucket{le="86400"} 1',
      'bucket{le="+Inf"} 1',
      'sum{} 61.5',
      'count{} 1',
    ]);
    expect(sample(body, 'rm_hosts_total')).toBe(1);
    expect(sample(body, 'rm_hosts_online')).toBe(1);
    expect(aboutFleet(await served.scrape()), 'the same state is the same bytes').toBe(
      aboutFleet(body),
    );

    agent.close();
    await eventually(async () => {
      expect(sample(await served.scrape(), `rm_host_agent_online{${host}}`)).toBe(0);
    });
    expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(0);
  });

  test('a repeated finish is acknowledged and counted once, also after a restart', async () => {
    const dataDir = temporaryDirectory();
    const count = 'rm_job_duration_seconds_count{kind="check",status="failed"}';
    const first = await Served.start({}, dataDir);
    const { token, host_id: id } = await first.addHost('web-1');
    const agent = await TestAgent.online(first.agentUrl, token);
    for (let i = 0; i < 3; i++) await agent.job({ id: 'c', kind: 'check', status: 'failed' });
    expect(sample(await first.scrape(), count)).toBe(1);
    expect(await first.stop()).toBe(0);
    expect(await agent.closed).toEqual({ code: 1012, reason: 'restarting' });

    const second = await Served.start({}, dataDir);
    const atStart = await second.scrape();
    expect(sample(atStart, count), 'the histogram is in memory only').toBe(0);
    expect(sample(atStart, 'rm_hosts_online'), 'nobody is online at start-up').toBe(0);
    expect(sample(atStart, 'rm_active_alerts{severity="critical"}')).toBe(1);
    const again = await TestAgent.online(second.agentUrl, token);
    await again.job({ id: 'c', kind: 'check', status: 'failed' });
    expect(sample(await second.scrape(), count)).toBe(0);
    await again.job({ id: 'd', kind: 'check', status: 'failed' });
    const body = await second.scrape();
    expect(sample(body, count)).toBe(1);
    expect(sample(body, `rm_host_open_alerts{host_id="${id}",host="web-1"}`)).toBe(1);
  });

  test('a job id belongs to its host', async () => {
    const served = await Served.start();
    for (const name of ['a', 'b']) {
      const { token } = await served.addHost(name);
      const agent = await TestAgent.online(served.agentUrl, token);
      await agent.job({ id: 'same', kind: 'diff', status: 'succeeded', announce: true });
    }
    const count = 'rm_job_duration_seconds_count{kind="diff",status="succeeded"}';
    expect(sample(await served.scrape(), count)).toBe(2);
  });

  test('the last backup is the one that finished last, not the one reported last', async () => {
    const served = await Served.start();
    const { token, host_id: id } = await served.addHost('late');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: '2', kind: 'backup', status: 'succeeded', finishedAt: at(20) });
    await agent.job({ id: '1', kind: 'backup', status: 'failed', finishedAt: at(10) });
    const labels = `{host_id="${id}",host="late"}`;
    const body = await served.scrape();
    expect(sample(body, `rm_host_last_backup_success${labels}`)).toBe(1);
    expect(sample(body, `rm_host_last_backup_timestamp_seconds${labels}`)).toBe(
      Date.parse(at(20)) / 1000,
    );
    expect(sample(body, `rm_host_open_alerts${labels}`), 'its next success has come').toBe(0);
    expect(sample(body, 'rm_job_duration_seconds_count{kind="backup",status="failed"}')).toBe(1);
  });

  test.each(['check', 'forget', 'prune', 'init'])(
    'a cancelled %s says nothing, however late others are reported',
    async (kind) => {
      const served = await Served.start();
      const { token, host_id: id } = await served.addHost('late');
      const agent = await TestAgent.online(served.agentUrl, token);
      const alerts = async () =>
        sample(await served.scrape(), `rm_host_open_alerts{host_id="${id}",host="late"}`);
      await agent.job({ id: '1', kind, status: 'cancelled', finishedAt: at(30) });
      await agent.job({ id: '2', kind, status: 'failed', finishedAt: at(10) });
      expect(await alerts()).toBe(1);
      await agent.job({ id: '3', kind, status: 'succeeded', finishedAt: at(20) });
      expect(await alerts()).toBe(0);
      await agent.job({ id: '4', kind, status: 'failed', finishedAt: at(15) });
      expect(await alerts(), 'its next success has come').toBe(0);
    },
  );

  test('the last backup stays the last when its job has been forgotten', async () => {
    const served = await Served.start();
    const { token, host_id: id } = await served.addHost('old');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: '2', kind: 'backup', status: 'succeeded', finishedAt: at(20) });
    const database = new DatabaseSync(join(served.dataDir, 'fleet.db'), { timeout: 5_000 });
    database.exec('DELETE FROM jobs');
    database.close();
    await agent.job({ id: '1', kind: 'backup', status: 'failed', finishedAt: at(10) });
    const success = `rm_host_last_backup_success{host_id="${id}",host="old"}`;
    expect(sample(await served.scrape(), success)).toBe(1);
  });

  test.each([
    ['backup', 'failed', 'warning'],
    ['backup', 'cancelled', 'warning'],
    ['forget', 'failed', 'warning'],
    ['prune', 'failed', 'critical'],
    ['check', 'failed', 'critical'],
    ['init', 'failed', 'critical'],
  ])('a %s that %s opens one %s alert until its next success', async (kind, status, severity) => {
    const served = await Served.start();
    const { token, host_id: id } = await served.addHost('h');
    const agent = await TestAgent.online(served.agentUrl, token);
    const alerts = async () => {
      const body = await served.scrape();
      return [
        sample(body, `rm_active_alerts{severity="${severity}"}`),
        sample(body, `rm_host_open_alerts{host_id="${id}",host="h"}`),
      ];
    };
    await agent.job({ id: '1', kind, status });
    await agent.job({ id: '2', kind, status });
    expect(await alerts()).toEqual([1, 1]);
    await agent.job({ id: '3', kind: 'unlock', status: 'succeeded' });
    expect(await alerts(), 'another kind does not resolve it').toEqual([1, 1]);
    const repoStatus = (value: string) =>
      `rm_host_repo_status{host_id="${id}",host="h",status="${value}"}`;
    if (kind === 'init') expect(sample(await served.scrape(), repoStatus('init_failed'))).toBe(1);
    await agent.job({ id: '4', kind, status: 'succeeded' });
    expect(await alerts()).toEqual([0, 0]);
    if (kind === 'init') {
      expect(sample(await served.scrape(), repoStatus('init_failed'))).toBeUndefined();
      expect(sample(await served.scrape(), repoStatus('ready'))).toBe(1);
    }
  });

  test('a negative duration counts as 0, a very long one stays exact', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('clock');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: '1', kind: 'update', status: 'succeeded', durationMs: -5000 });
    await agent.job({ id: '2', kind: 'update', status: 'succeeded', durationMs: 2 ** 33 + 1 });
    const rows = histogram(await served.scrape(), 'update', 'succeeded');
    expect(rows[0]).toBe('bucket{le="1"} 1');
    expect(rows.slice(8)).toEqual([
      'bucket{le="86400"} 1',
      'bucket{le="+Inf"} 2',
      'sum{} 8589934.593',
      'count{} 2',
    ]);
  });
});

describe('what an agent says wrongly', () => {
  const finish = { job_id: 'j', status: 'succeeded', finished_at: at(5) };
  const start = { job_id: 'j', kind: 'backup', started_at: at(1) };

  test('each error has its code and the id of its message, and changes nothing', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('clumsy');
    const agent = await TestAgent.online(served.agentUrl, token);
    const before = await served.scrape();
    const cases: [string, string | Buffer | object][] = [
      ['bad_message', 'no json'],
      ['bad_message', Buffer.from('{"type":"heartbeat"}')],
      ['bad_message', `{"type":"heartbeat","payload":{},"x":"${'x'.repeat(262_144)}"}`],
      ['bad_message', { type: 'job.finished', id: 'm', payload: 7 }],
      ['bad_message', { type: 'job.started', id: 'm', payload: { ...start, kind: undefined } }],
      ['unknown_type', { type: 'job.paused', id: 'm', payload: {} }],
      ['unknown_job', { type: 'job.finished', id: 'm', payload: finish }],
      ['unknown_job', { type: 'job.finished', id: 'm', payload: { ...finish, kind: 'backup' } }],
      ['unknown_kind', { type: 'job.started', id: 'm', payload: { ...start, kind: 'copy' } }],
      ['unknown_kind', { type: 'job.finished', id: 'm', payload: { ...finish, kind: 'copy' } }],
      ['unknown_status', { type: 'job.finished', id: 'm', payload: { ...finish, status: 'ok' } }],
      ['bad_time', { type: 'job.started', id: 'm', payload: { ...start, started_at: 'today' } }],
      ['bad_time', { type: 'heartbeat', id: 'm', payload: { sent_at: 1 } }],
    ];
    for (const [code, message] of cases) {
      const plain = typeof message === 'string' || Buffer.isBuffer(message);
      agent.sendRaw(plain ? message : JSON.stringify(message));
      const { payload } = await agent.receive('error');
      expect(payload).toMatchObject({ code, message: expect.any(String) });
      expect(payload.id).toBe(plain ? undefined : 'm');
    }
    expect(aboutFleet(await served.scrape())).toBe(aboutFleet(before));
  });

  test('a message of exactly 256 KiB is taken', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('large');
    const agent = await TestAgent.online(served.agentUrl, token);
    const text = JSON.stringify({
      type: 'repo.stats',
      id: 'm',
      payload: { snapshot_count: 3, x: '' },
    });
    const padding = 'x'.repeat(256 * 1024 - text.length);
    agent.sendRaw(text.replace('"x":""', `"x":"${padding}"`));
    expect((await agent.receive('ack')).payload.id).toBe('m');
  });

  test('a job can be finished without an announcement, with or without ids', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('terse');
    const agent = await TestAgent.online(served.agentUrl, token);
    agent.send('job.started', start);
    agent.send('job.finished', finish);
    agent.send('job.finished', { ...finish, ...start, job_id: 'k' });
    await agent.report('repo.stats', {}, 'last');
    const count = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
    expect(sample(await served.scrape(), count)).toBe(2);
  });

  test('the first message must be a hello; a good one is still in time', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('hasty');
    const agent = await TestAgent.connect(served.agentUrl, token);
    agent.send('job.started', start, 'm');
    expect((await agent.receive('error')).payload).toMatchObject({
      code: 'hello_required',
      id: 'm',
    });
    agent.hello();
    await agent.receive('welcome');
  });

  test.each([
    [{ protocol_version: 0 }, 'protocol_too_old'],
    [{ protocol_version: 2 }, 'protocol_too_new'],
    [{ protocol_version: '1' }, 'bad_message'],
    [{ hostname: undefined }, 'bad_message'],
    [{ boot_time: 'yesterday' }, 'bad_time'],
  ])('a hello with %j is answered and closed with 4001', async (fields, code) => {
    const served = await Served.start();
    const { token } = await served.addHost('odd');
    const agent = await TestAgent.connect(served.agentUrl, token);
    agent.hello(fields);
    expect((await agent.receive('error')).payload.code).toBe(code);
    expect((await agent.closed).code).toBe(4001);
  });

  test('no hello within ten seconds closes with 4001', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('silent');
    const agent = await TestAgent.connect(served.agentUrl, token);
    expect(await agent.closed).toEqual({ code: 4001, reason: 'no hello in time' });
  });

  test('the twenty-first bad message within a minute closes with 4003', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('broken');
    const agent = await TestAgent.online(served.agentUrl, token);
    for (let i = 0; i < 30; i++) agent.send('no.such.type', {});
    for (let i = 0; i < 30; i++) await agent.receive('error');
    for (let i = 0; i < 20; i++) agent.sendRaw('rubbish');
    for (let i = 0; i < 20; i++) await agent.receive('error');
    expect(agent.isClosed, 'unknown types and twenty bad messages are forgiven').toBe(false);
    agent.sendRaw('rubbish');
    expect((await agent.closed).code).toBe(4003);
  });

  test('a missing or wrong token is 401', async () => {
    const served = await Served.start();
    await expect(TestAgent.connect(served.agentUrl, 'wrong')).rejects.toThrow('HTTP 401');
    const plain = await fetch(`${served.url}/ws/agent`);
    expect(plain.status).toBe(401);
    const { token } = await served.addHost('browser');
    const headers = { Authorization: `Bearer ${token}` };
    expect((await fetch(`${served.url}/ws/agent`, { headers })).status).toBe(426);
  });
});

describe('connections', () => {
  test('a newer connection of the same host replaces the older one with 4000', async () => {
    const served = await Served.start();
    const { token, host_id: id } = await served.addHost('twin');
    const older = await TestAgent.online(served.agentUrl, token);
    const newer = await TestAgent.online(served.agentUrl, token);
    expect((await older.closed).code).toBe(4000);
    const online = `rm_host_agent_online{host_id="${id}",host="twin"}`;
    expect(sample(await served.scrape(), online), 'its leaving does not count').toBe(1);
    await newer.job({ id: '1', kind: 'backup', status: 'succeeded' });
  });

  test('removing a host disconnects its agent with 4002, and its token is dead', async () => {
    const served = await Served.start();
    const removed = await served.addHost('old');
    const kept = await served.addHost('kept');
    const agent = await TestAgent.online(served.agentUrl, removed.token);
    const other = await TestAgent.online(served.agentUrl, kept.token);
    await agent.job({ id: '1', kind: 'backup', status: 'failed' });
    const { cli } = await import('../support/serve.ts');
    await cli(['hosts', 'remove', removed.host_id], { RM_DATA_DIR: served.dataDir });
    expect((await agent.closed).code).toBe(4002);
    await expect(TestAgent.connect(served.agentUrl, removed.token)).rejects.toThrow('HTTP 401');
    const body = await served.scrape();
    expect(hostRows(body, removed.host_id)).toEqual([]);
    expect(sample(body, 'rm_hosts_total')).toBe(1);
    expect(sample(body, 'rm_active_alerts{severity="warning"}')).toBe(0);
    await other.job({ id: '1', kind: 'backup', status: 'succeeded' });
  });

  test('agents in threads of their own: replaced across loops, scraped, removed', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: '3' });
    const { token } = await served.addHost('spread');
    let agent = await TestAgent.online(served.agentUrl, token);
    for (let i = 0; i < 7; i++) {
      await agent.job({ id: `${i}`, kind: 'backup', status: 'succeeded' });
      const next = await TestAgent.online(served.agentUrl, token);
      expect((await agent.closed).code).toBe(4000);
      agent = next;
    }
    const count = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
    for (let i = 0; i < 4; i++) expect(sample(await served.scrape(), count)).toBe(7);
    expect((await fetch(served.metricsUrl)).status).toBe(401);
    expect(await served.stop()).toBe(0);
    expect((await agent.closed).code).toBe(1012);
  });
});
