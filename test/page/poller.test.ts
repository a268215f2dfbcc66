import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { JobRate } from '../../src/page/job-rate.ts';
import { Poller, retryMs } from '../../src/page/poller.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function poller(task: (signal: AbortSignal) => Promise<void>) {
  const page = { isVisible: true };
  const created = new Poller({ task, intervalMs: () => 5_000, isVisible: () => page.isVisible });
  return { page, poller: created };
}

test('runs the task now, and again after each interval', async () => {
  const task = vi.fn(async () => {});
  poller(task).poller.now();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(task).toHaveBeenCalledTimes(3);
});

test('waits longer after each failure, and not after a success', async () => {
  let isBroken = true;
  const task = vi.fn(async () => {
    if (isBroken) throw new Error('no answer');
  });
  poller(task).poller.now();
  await vi.advanceTimersByTimeAsync(120_000);
  // At most two seconds, then at most four, eight, sixteen, …: far fewer than 24 attempts.
  expect(task.mock.calls.length).toBeGreaterThan(4);
  expect(task.mock.calls.length).toBeLessThan(12);
  isBroken = false;
  await vi.advanceTimersByTimeAsync(60_000);
  task.mockClear();
  await vi.advanceTimersByTimeAsync(50_000);
  expect(task).toHaveBeenCalledTimes(10);
});

test('rests while the page is hidden, and runs at once when it is visible again', async () => {
  const task = vi.fn(async () => {});
  const { page, poller: created } = poller(task);
  created.now();
  await vi.advanceTimersByTimeAsync(0);
  page.isVisible = false;
  created.visibilityChanged();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(task).toHaveBeenCalledTimes(1);
  page.isVisible = true;
  created.visibilityChanged();
  expect(task).toHaveBeenCalledTimes(2);
});

test('gives up a running task for a new one, and after a stop nothing runs', async () => {
  const signals: AbortSignal[] = [];
  const { poller: created } = poller((signal) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  created.now();
  created.now();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  created.stop();
  created.visibilityChanged();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('a retry is at most a minute away, and never sooner than half of the pause', () => {
  expect([retryMs(1, 0), retryMs(1, 1), retryMs(3, 0), retryMs(99, 0)]).toEqual([
    2_000, 1_000, 8_000, 60_000,
  ]);
});

test('the rate of jobs is that of the last minute, and starts again with the server', () => {
  const rate = new JobRate();
  rate.add(0, 100);
  expect(rate.perMinute).toBeUndefined();
  rate.add(10_000, 110);
  expect(rate.perMinute).toBe(60);
  for (let second = 15; second <= 200; second += 5) rate.add(second * 1_000, 110);
  expect(rate.perMinute).toBe(0);
  rate.add(205_000, 5);
  expect(rate.perMinute).toBeUndefined();
});
