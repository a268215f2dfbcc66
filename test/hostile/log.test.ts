import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { ask } from '../support/http.ts';
import { cli, eventually, Served, TOKEN } from '../support/serve.ts';

function events(served: Served, event: string): Record<string, unknown>[] {
  return served.log
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line));
}

/** An event is logged once a minute at most, so each test has a server of its own. */
describe.each(['1', '3'])('with agent_threads=%s the log says once a minute', (threads) => {
  test('which gate refused a scrape, and from where it came', async () => {
    const served = await Served.start({
      RM_AGENT_THREADS: threads,
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8',
      RM_TRUSTED_PROXY: '127.0.0.1',
    });
    const headers = { Authorization: `Bearer ${TOKEN}`, 'X-Forwarded-For': '192.0.2.7:51234' };
    for (let n = 0; n < 20; n++) {
      expect((await ask(served.metricsUrl, { headers })).status).toBe(401);
    }
    await eventually(() => expect(events(served, 'scrape_refused')).toHaveLength(1));
    expect(events(served, 'scrape_refused')).toMatchObject([
      { level: 'warn', gate: 'network', address: '192.0.2.7' },
    ]);
  });

  test('that a token is wrong, and what was left out after a minute is not shown as nothing', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const secret = 'rmh_a-secret-that-must-not-show';
    for (let n = 0; n < 20; n++) {
      await expect(TestAgent.connect(served.agentUrl, secret)).rejects.toThrow('HTTP 401');
      await ask(served.metricsUrl, { headers: { Authorization: `Bearer ${secret}` } });
    }
    await eventually(() => expect(events(served, 'scrape_refused')).toHaveLength(1));
    expect(events(served, 'agent_unauthorized')).toMatchObject([
      { level: 'warn', address: '127.0.0.1' },
    ]);
    expect(events(served, 'scrape_refused')).toMatchObject([
      { gate: 'token', address: '127.0.0.1' },
    ]);
    expect(served.log).not.toContain('secret');
  });

  test('that a newer connection took the place of an older one', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const { host_id: id, token } = await served.addHost('web');
    const first = await TestAgent.online(served.agentUrl, token);
    await TestAgent.online(served.agentUrl, token);
    expect((await first.closed).code).toBe(4000);
    await eventually(() => expect(events(served, 'agent_replaced')).toHaveLength(1));
    expect(events(served, 'agent_replaced')).toMatchObject([
      { host_id: id, host: 'web', address: '127.0.0.1', code: 4000 },
    ]);
  });

  test('why it closed the connection of an agent', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const { host_id: id, token } = await served.addHost('web');
    const bad = await TestAgent.online(served.agentUrl, token);
    for (let n = 0; n < 21; n++) bad.sendRaw('no JSON');
    expect((await bad.closed).code).toBe(4003);
    const long = await TestAgent.online(served.agentUrl, token);
    long.sendRaw('x'.repeat(600_000));
    expect((await long.closed).code).toBe(1006);
    const rude = await TestAgent.connect(served.agentUrl, token);
    rude.send('hello', { protocol_version: 2, agent_version: '1', hostname: 'x' });
    expect((await rude.closed).code).toBe(4001);
    const removed = await TestAgent.online(served.agentUrl, token);
    await cli(['hosts', 'remove', id], { RM_DATA_DIR: served.dataDir });
    expect((await removed.closed).code).toBe(4002);
    const about = { host_id: id, address: '127.0.0.1', level: 'warn' };
    await eventually(() => expect(events(served, 'agent_removed')).toHaveLength(1));
    expect(events(served, 'agent_too_many_bad_messages')).toMatchObject([
      { ...about, code: 4003, host: 'web' },
    ]);
    expect(events(served, 'agent_bad_frame')).toMatchObject([
      { ...about, why: 'Received too big message' },
    ]);
    expect(events(served, 'agent_bad_hello')).toMatchObject([{ ...about, code: 4001 }]);
    expect(events(served, 'agent_removed')).toMatchObject([{ ...about, code: 4002, host: 'web' }]);
  });
});

test('agents that connect as soon as they are enrolled are welcome, and stderr has only log lines', async () => {
  const served = await Served.start({ RM_LOG_LEVEL: 'trace' });
  for (let n = 0; n < 10; n++) {
    const { stdout } = await cli(['hosts', 'add', `host-${n}`], { RM_DATA_DIR: served.dataDir });
    await TestAgent.online(served.agentUrl, JSON.parse(stdout).token);
  }
  await sleep(100);
  for (const line of served.log.split('\n').filter((line) => line !== '')) {
    expect(() => JSON.parse(line), line).not.toThrow();
  }
  expect(served.log).not.toContain('rmh_');
});

test('a log that cannot be written does not end the server', async () => {
  const toFullDisk = ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh'];
  const served = await Served.start({}, undefined, undefined, toFullDisk);
  const { token } = await served.addHost('web');
  for (let n = 0; n < 3; n++) {
    await expect(TestAgent.connect(served.agentUrl, 'wrong')).rejects.toThrow('HTTP 401');
    expect((await ask(served.metricsUrl)).status).toBe(401);
  }
  const first = await TestAgent.online(served.agentUrl, token);
  const second = await TestAgent.online(served.agentUrl, token);
  expect((await first.closed).code).toBe(4000);
  await second.job({ id: '1', kind: 'backup', status: 'succeeded' });
  expect(await served.stop()).toBe(0);
});
