import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { LoopHealthMonitor } from '../../src/loop/loop-health.ts';
import { eventually } from '../support/serve.ts';

/** Longer than a busy machine holds a loop up by itself, which is what the bounds below allow for. */
const BLOCKED_MS = 1_000;

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a loop that stood still shows for how long, in seconds, and once', async () => {
  const monitor = new LoopHealthMonitor();
  onTestFinished(() => monitor.close());
  await sleep(50);
  block(BLOCKED_MS);
  await sleep(50);
  const blocked = monitor.read();
  expect(blocked.lagP99Seconds).toBeGreaterThan(0.8);
  expect(blocked.lagP99Seconds).toBeLessThan(10);
  expect(blocked.lagSeconds).toBeGreaterThan(0);
  expect(blocked.lagSeconds).toBeLessThan(blocked.lagP99Seconds);
  await sleep(200);
  expect(monitor.read().lagP99Seconds, 'of the time since').toBeLessThan(0.8);
});

test('an idle loop has no lag: the interval of the timers is none', async () => {
  const monitor = new LoopHealthMonitor();
  onTestFinished(() => monitor.close());
  // Also on a busy machine, one of these times is quiet.
  await eventually(async () => {
    monitor.read();
    await sleep(200);
    expect(monitor.read().lagSeconds).toBeLessThan(0.005);
  });
});

test('a loop that was not watched for any time has no lag', () => {
  const monitor = new LoopHealthMonitor();
  onTestFinished(() => monitor.close());
  monitor.read();
  const { lagSeconds, lagP99Seconds, heapUsedBytes } = monitor.read();
  expect([lagSeconds, lagP99Seconds]).toEqual([0, 0]);
  expect(heapUsedBytes).toBeGreaterThan(1_000_000);
  expect(heapUsedBytes).toBeLessThan(process.memoryUsage().heapTotal);
});
