import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { eventually, Served, sample } from '../support/serve.ts';

/*
 * What real machines report: a wrong clock, a job id that is used again, a text that is too long. A failing host must
 * not look healthy because of it.
 */

const MINUTE = 60_000;
const at = (ms: number) => new Date(ms).toISOString();

async function host(name = 'web') {
  const served = await Served.start();
  const { token, host_id: id } = await served.addHost(name);
  const agent = await TestAgent.online(served.agentUrl, token);
  const labels = `host_id="${id}",host="${name}"`;
  const value = async (family: string) => sample(await served.scrape(), `${family}{${labels}}`);
  /** @returns the answer of the server */
  const finish = async (jobId: string, fields: object) => {
    const payload = { job_id: jobId, kind: 'backup', status: 'succeeded', ...fields };
    agent.send('job.finished', payload, `m-${jobId}`);
    return agent.receiveAny();
  };
  return { served, agent, value, finish };
}

describe('a clock', () => {
  test('in the year 2099 does not hide the failure after it', async () => {
    const { finish, value } = await host();
    const now = Date.now();
    const future = { started_at: '2099-01-01T00:00:00Z', finished_at: '2099-01-01T00:01:00Z' };
    expect(await finish('a', future)).toMatchObject({ type: 'ack' });
    const shown = await value('rm_host_last_backup_timestamp_seconds');
    expect(shown).toBeGreaterThanOrEqual(now / 1000 - 1);
    expect(shown).toBeLessThan(now / 1000 + 60);
    const past = { started_at: at(now - MINUTE), finished_at: at(now), status: 'failed' };
    expect(await finish('b', past)).toMatchObject({ type: 'ack' });
    expect(await value('rm_host_last_backup_success')).toBe(0);
    expect(await value('rm_host_last_backup_timestamp_seconds')).toBe(now / 1000);
    expect(await value('rm_host_open_alerts')).toBe(1);
  });

  test.each([
    ['0001-01-01T00:00:00Z', undefined],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:01:00Z'],
    ['0000-01-01T00:00:00Z', undefined],
    ['1970-01-01T00:00:00Z', undefined],
    ['2024-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
  ])('that says %s is refused as bad_time, and nothing is counted', async (started, finished) => {
    const { served, finish, value } = await host();
    const times = { started_at: started, finished_at: finished ?? at(Date.now()) };
    expect(await finish('a', times)).toMatchObject({
      type: 'error',
      payload: { code: 'bad_time', id: 'm-a' },
    });
    const sum = 'rm_job_duration_seconds_sum{kind="backup",status="succeeded"}';
    expect(sample(await served.scrape(), sum)).toBe(0);
    expect(await value('rm_host_last_backup_success')).toBeUndefined();
  });
});

describe('a job id that is used again', () => {
  test('is answered with job_conflict and logged; an exact repeat is acknowledged', async () => {
    const { served, agent, finish, value } = await host();
    const now = Date.now();
    const monday = { started_at: at(now - 90_000_000), finished_at: at(now - 86_400_000) };
    const tuesday = { started_at: at(now - MINUTE), finished_at: at(now), status: 'failed' };
    expect(await finish('1', monday)).toMatchObject({ type: 'ack' });
    const conflict = { type: 'error', payload: { code: 'job_conflict', id: 'm-1' } };
    expect(await finish('1', tuesday)).toMatchObject(conflict);
    expect(await finish('1', { ...tuesday, kind: 'check' })).toMatchObject(conflict);
    expect(await finish('1', monday), 'the same again').toMatchObject({ type: 'ack' });
    expect(await value('rm_host_last_backup_success')).toBe(1);
    await eventually(() => expect(served.log).toContain('agent_job_conflict'));
    for (let n = 0; n < 30; n++) await finish('1', tuesday);
    expect(agent.isClosed, 'conflicts are not held against the agent').toBe(false);
  });

  test('for another announcement is a conflict, too', async () => {
    const { agent } = await host();
    const start = { job_id: '1', kind: 'backup', started_at: '2026-01-05T00:00:00Z' };
    await agent.report('job.started', start, 'a');
    await agent.report('job.started', start, 'b');
    agent.send('job.started', { ...start, kind: 'prune' }, 'c');
    expect((await agent.receive('error')).payload).toMatchObject({ code: 'job_conflict', id: 'c' });
  });
});

describe('a long text', () => {
  const now = Date.now();
  const failed = { status: 'failed', started_at: at(now - MINUTE), finished_at: at(now) };

  test.each([70_000, 200_000])('of %i characters is stored with its end', async (length) => {
    const { served, finish, value } = await host();
    const error = `${'x'.repeat(length)}Fatal: wrong password`;
    expect(await finish('a', { ...failed, error })).toMatchObject({ type: 'ack' });
    expect(await value('rm_host_last_backup_success')).toBe(0);
    const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
    const stored = db.prepare('SELECT error FROM jobs').get()?.error;
    db.close();
    expect(stored).toBe(error.slice(-4_096));
  });

  test('of more than 256 KiB is refused with the id of the message', async () => {
    const { agent, finish } = await host();
    for (const length of [262_144, 500_000]) {
      expect(await finish('a', { ...failed, error: 'x'.repeat(length) })).toMatchObject({
        type: 'error',
        payload: { code: 'bad_message', id: 'm-a' },
      });
    }
    expect(agent.isClosed).toBe(false);
  });
});

test('a failed init is over when a backup succeeds', async () => {
  const { finish, value, served } = await host();
  const now = Date.now();
  const times = (ms: number) => ({ started_at: at(now - MINUTE), finished_at: at(now + ms) });
  await finish('i', { kind: 'init', status: 'failed', ...times(0) });
  expect(await value('rm_host_open_alerts')).toBe(1);
  await finish('b', times(1));
  expect(await value('rm_host_open_alerts')).toBe(0);
  expect(await served.scrape()).toContain(',status="ready"} 1\n');
});

test('a backup that could not read some files opens an alert of its own', async () => {
  const { finish, value, served } = await host();
  const now = Date.now();
  const times = (ms: number) => ({ started_at: at(now - MINUTE), finished_at: at(now + ms) });
  const summary = { bytes_added: 5, files_unreadable: 2, snapshot_id: '4a1cfd12' };
  await finish('a', { ...times(0), exit_code: 3 });
  expect(sample(await served.scrape(), 'rm_active_alerts{severity="info"}')).toBe(1);
  expect(await value('rm_host_last_backup_success')).toBe(1);
  await finish('b', { ...times(1), exit_code: 0 });
  expect(sample(await served.scrape(), 'rm_active_alerts{severity="info"}')).toBe(0);
  await finish('c', { ...times(2), summary });
  expect(sample(await served.scrape(), 'rm_active_alerts{severity="info"}')).toBe(1);
});
