import { expect, test } from 'vitest';
import { ApiError } from '../../src/page/api-error.ts';
import { Causes } from '../../src/page/causes.ts';
import type { Host, HostDetails } from '../../src/page/model.ts';

const HOSTS = Array.from(
  { length: 25 },
  (_, n) =>
    ({ host_id: `${n}`, state: 'failed', last_backup_at: null, alerts: [] }) as unknown as Host,
);
const DETAILS = {
  alerts: [],
  jobs: [{ kind: 'backup', status: 'failed', exit_code: 12, error: 'wrong password' }],
} as unknown as HostDetails;

/** An API that notes how many requests wait at one time, and fails for one host. */
class WatchedApi {
  asked: string[] = [];
  most = 0;
  #waiting = 0;

  async host(hostId: string): Promise<HostDetails> {
    this.asked.push(hostId);
    this.most = Math.max(this.most, ++this.#waiting);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.#waiting--;
    if (hostId === '3') throw new ApiError(503, false);
    return DETAILS;
  }
}

test('the causes of the first 20 hosts are asked for, three at a time, and once', async () => {
  const causes = new Causes();
  const api = new WatchedApi();
  const load = () => causes.load(HOSTS, (hostId) => api.host(hostId));
  expect(await load()).toBe(true);
  expect(api.asked).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
  expect(api.most).toBe(3);
  expect(causes.of(HOSTS[0] as Host)?.backup?.exit_code).toBe(12);
  expect(causes.of(HOSTS[20] as Host)).toBeUndefined();
  api.asked = [];
  await load();
  expect(api.asked, 'the one without an answer again').toEqual(['3']);
});

test('another failure or another alert has a cause of its own, which is asked for', async () => {
  const causes = new Causes();
  const first = { ...HOSTS[0], last_backup_at: '2026-01-01T00:00:00.000Z' } as Host;
  const later = { ...first, last_backup_at: '2026-01-02T00:00:00.000Z' };
  const alerted = { ...later, alerts: ['agent_offline'] } as Host;
  for (const [exitCode, host] of [first, later, alerted].entries()) {
    expect(causes.of(host), 'not the cause of what was before').toBeUndefined();
    const jobs = [{ kind: 'backup', status: 'failed', exit_code: exitCode }];
    await causes.load([host], async () => ({ alerts: [], jobs }) as unknown as HostDetails);
    expect(causes.of(host)?.backup?.exit_code).toBe(exitCode);
  }
});

test('failed and offline hosts have a cause, others are not asked for', async () => {
  const asked: string[] = [];
  const states = ['failed', 'never', 'overdue', 'offline', 'alerts', 'ok', 'pending'] as const;
  const hosts = states.map((state) => ({ ...HOSTS[0], host_id: state, state }) as Host);
  await new Causes().load(hosts, async (hostId) => {
    asked.push(hostId);
    return DETAILS;
  });
  expect(asked).toEqual(['failed', 'offline']);
});

test('a list without a new failure has no new causes, and causes of hosts that left it are forgotten', async () => {
  const causes = new Causes();
  const [host] = HOSTS as [Host];
  expect(await causes.load([host], async () => DETAILS)).toBe(true);
  expect(await causes.load([host], async () => DETAILS)).toBe(false);
  expect(causes.of(host)).toBeDefined();
  await causes.load([], async () => DETAILS);
  expect(causes.of(host)).toBeUndefined();
});

test('what is no answer of the API is an error of the page, and is not hidden', async () => {
  const load = new Causes().load(HOSTS.slice(0, 1), () => Promise.reject(new TypeError('a bug')));
  await expect(load).rejects.toThrow('a bug');
});
