import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { JobRate } from '../../src/page/job-rate.ts';
import { Poller, pollMs, retryMs } from '../../src/page/poller.ts';

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

test('of a page that is opened hidden runs as soon as the page is visible', async () => {
  const task = vi.fn(async () => {});
  const { page, poller: created } = poller(task);
  page.isVisible = false;
  created.now();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(task).not.toHaveBeenCalled();
  page.isVisible = true;
  created.visibilityChanged();
  expect(task).toHaveBeenCalledTimes(1);
});

test('a task that ends while the page is hidden is the last one until the page is visible', async () => {
  let end = () => {};
  const task = vi.fn(() => new Promise<void>((resolve) => (end = resolve)));
  const { page, poller: created } = poller(task);
  created.now();
  page.isVisible = false;
  created.visibilityChanged();
  end();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(task).toHaveBeenCalledTimes(1);
  page.isVisible = true;
  created.visibilityChanged();
  expect(task).toHaveBeenCalledTimes(2);
});

test('a run on demand takes the place of the one that was due', async () => {
  const task = vi.fn(async () => {});
  const { poller: created } = poller(task);
  created.now();
  await vi.advanceTimersByTimeAsync(4_000);
  created.now();
  await vi.advanceTimersByTimeAsync(4_000);
  expect(task).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(task).toHaveBeenCalledTimes(3);
});

test('what was given up is no failure, so the first failure after it has the shortest pause', async () => {
  const task = vi.fn((signal: AbortSignal) => {
    if (task.mock.calls.length > 3) return Promise.reject(new Error('no answer'));
    return new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject()));
  });
  const { poller: created } = poller(task);
  for (let run = 1; run <= 3; run++) {
    created.now();
    await vi.advanceTimersByTimeAsync(0);
  }
  created.now();
  await vi.advanceTimersByTimeAsync(0);
  expect(task).toHaveBeenCalledTimes(4);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(task).toHaveBeenCalledTimes(5);
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

test.each([
  [0, 5_000],
  [1, 5_000],
  [500, 5_000],
  [501, 10_000],
  [2_000, 20_000],
])('a list of %i hosts is loaded every %i ms', (hosts, ms) => {
  expect(pollMs(hosts)).toBe(ms);
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
  rate.add(213_999, 14);
  expect(rate.perMinute, 'of less than nine seconds').toBeUndefined();
  rate.add(214_000, 14);
  expect(rate.perMinute).toBe(60);
});

test('the rate of jobs looks back a minute at least, and not much more', () => {
  const rate = new JobRate();
  for (const [second, total] of [
    [0, 0],
    [50, 1_000],
    [100, 1_000],
    [115, 1_060],
  ] as const) {
    rate.add(second * 1_000, total);
  }
  expect(rate.perMinute, 'since 50 s').toBeCloseTo((60 / 65) * 60);
});
