import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { FakeClock, whyNoFakeClock } from '../support/fake-clock.ts';
import { unless } from '../support/programs.ts';
import { eventually, Served, sample, temporaryDirectory } from '../support/serve.ts';

const withClock = unless(whyNoFakeClock());
const MINUTE = 60;
const DAY = 24 * 60 * MINUTE;
const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
/** The server looks for hosts that are offline every 5 s. */
const TWO_LOOKS_MS = 11_000;

const openAlerts = (id: string) => `rm_host_open_alerts{host_id="${id}",host="web"}`;

withClock.describe('agent_offline', () => {
  test('opens after 15 minutes without the agent, not before, and ends with its hello', async () => {
    const clock = new FakeClock('all');
    const served = await Served.start(clock.variables);
    const { host_id: id, token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    agent.close();
    await eventually(async () => expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(0));
    clock.set(14 * MINUTE);
    await sleep(TWO_LOOKS_MS);
    expect(sample(await served.scrape(), openAlerts(id))).toBe(0);
    clock.set(15 * MINUTE + 1);
    await eventually(async () => expect(sample(await served.scrape(), openAlerts(id))).toBe(1));
    await TestAgent.online(served.agentUrl, token);
    expect(sample(await served.scrape(), openAlerts(id))).toBe(0);
  });

  test('does not open when the system clock is set a day ahead and back', async () => {
    const clock = new FakeClock('wall');
    const served = await Served.start(clock.variables);
    const { host_id: id, token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    agent.close();
    await eventually(async () => expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(0));
    clock.set(DAY);
    await sleep(TWO_LOOKS_MS);
    expect(sample(await served.scrape(), openAlerts(id))).toBe(0);
    clock.set(-DAY);
    await sleep(TWO_LOOKS_MS);
    expect(sample(await served.scrape(), openAlerts(id))).toBe(0);
  });

  test('opens in time when the system clock was set back meanwhile', async () => {
    const clock = new FakeClock('all');
    const served = await Served.start(clock.variables);
    const { host_id: id, token } = await served.addHost('web');
    clock.set(DAY);
    const agent = await TestAgent.online(served.agentUrl, token);
    agent.close();
    await eventually(async () => expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(0));
    clock.set(DAY + 15 * MINUTE + 1);
    await eventually(async () => expect(sample(await served.scrape(), openAlerts(id))).toBe(1));
  });
});

withClock.describe('silence', () => {
  test.each([
    [94, false],
    [80, true],
  ])('after %i s without a message the agent is still online: %s', async (seconds, isOnline) => {
    const clock = new FakeClock('all');
    const served = await Served.start(clock.variables);
    const { token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    clock.set(seconds);
    if (isOnline) {
      agent.send('heartbeat', { sent_at: '2026-01-02T03:04:05Z' });
      await sleep(2_000);
      clock.set(2 * seconds);
      await sleep(2_000);
      expect(agent.isClosed).toBe(false);
    } else {
      expect(await agent.closed).toEqual({ code: 1001, reason: 'no message in time' });
    }
  });

  test('without a hello a connection is closed after 10 s, not before', async () => {
    const clock = new FakeClock('all');
    const served = await Served.start(clock.variables);
    const { token } = await served.addHost('web');
    const agent = await TestAgent.connect(served.agentUrl, token);
    clock.set(7);
    await sleep(1_500);
    expect(agent.isClosed).toBe(false);
    clock.set(11);
    expect(await agent.closed).toEqual({ code: 4001, reason: 'no hello in time' });
  });
});

withClock.describe('a finish that is reported again does not count again', () => {
  const report = async (served: Served, token: string) => {
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: 'once', kind: 'backup', status: 'succeeded' });
    agent.close();
  };

  test('when the system clock was set 40 days ahead and back', async () => {
    const clock = new FakeClock('wall');
    const served = await Served.start(clock.variables);
    const { token } = await served.addHost('web');
    await report(served, token);
    clock.set(40 * DAY);
    // Jobs are forgotten once a minute.
    await sleep(1_000);
    await report(served, token);
    clock.set(0);
    await report(served, token);
    expect(sample(await served.scrape(), BACKUPS)).toBe(1);
  });

  test('when the server was restarted while the clock was 40 days ahead', async () => {
    const clock = new FakeClock('wall');
    const dataDir = temporaryDirectory();
    const first = await Served.start(clock.variables, dataDir);
    const { token } = await first.addHost('web');
    await report(first, token);
    await first.stop();
    clock.set(40 * DAY);
    const second = await Served.start(clock.variables, dataDir);
    await report(second, token);
    expect(sample(await second.scrape(), BACKUPS)).toBe(0);
    await second.stop();
    clock.set(0);
    const third = await Served.start(clock.variables, dataDir);
    await report(third, token);
    expect(sample(await third.scrape(), BACKUPS)).toBe(0);
  });
});

test('jobs are remembered for 30 days', async () => {
  const dataDir = temporaryDirectory();
  const first = await Served.start({}, dataDir);
  const { token } = await first.addHost('web');
  const agent = await TestAgent.online(first.agentUrl, token);
  for (const id of ['29', '31']) await agent.job({ id, kind: 'backup', status: 'succeeded' });
  await first.stop();
  const db = new DatabaseSync(join(dataDir, 'fleet.db'));
  for (const days of [29, 31]) {
    const recordedAt = Date.now() - days * DAY * 1000;
    db.prepare('UPDATE jobs SET recorded_at = ? WHERE job_id = ?').run(recordedAt, `${days}`);
  }
  db.close();
  await Served.start({}, dataDir);
  const remembered = new DatabaseSync(join(dataDir, 'fleet.db'), { readOnly: true });
  const ids = () => remembered.prepare('SELECT job_id FROM jobs').all();
  await eventually(() => expect(ids()).toEqual([{ job_id: '29' }]));
  remembered.close();
});
