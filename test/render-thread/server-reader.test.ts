import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ServerReader } from '../../src/render-thread/server-reader.ts';
import { PROCESS_CELL } from '../../src/shared/server-families.ts';

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

test('the CPU time is that in the program and that in the system, in seconds', () => {
  const before = cpuSeconds();
  const shown = new ServerReader(undefined).read()[PROCESS_CELL.cpuSeconds];
  expect(shown).toBeGreaterThanOrEqual(before);
  expect(shown).toBeLessThanOrEqual(cpuSeconds());
});

test('the process is described in seconds, bytes and files', () => {
  const reading = new ServerReader(undefined).read();
  const startedAt = Date.now() / 1_000 - process.uptime();
  expect(Math.abs((reading[PROCESS_CELL.startTimeSeconds] ?? 0) - startedAt)).toBeLessThan(1);
  const rss = process.memoryUsage.rss();
  expect((reading[PROCESS_CELL.residentBytes] ?? 0) / rss).toBeGreaterThan(0.5);
  expect((reading[PROCESS_CELL.residentBytes] ?? 0) / rss).toBeLessThan(2);
  // https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html
  const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  expect(reading[PROCESS_CELL.maxFds]).toBe(limit === undefined ? Number.NaN : Number(limit));
  expect(reading[PROCESS_CELL.openFds]).toBeGreaterThan(2);
});

test('the start of the process is that of the process, also for a reader that begins hours later', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 2) });
  onTestFinished(() => void vi.useRealTimers());
  const uptime = vi.spyOn(process, 'uptime').mockReturnValue(3 * 3600 + 0.5);
  onTestFinished(() => uptime.mockRestore());
  const shown = new ServerReader(undefined).read()[PROCESS_CELL.startTimeSeconds];
  expect(shown).toBe(Date.UTC(2026, 0, 1, 20, 59, 59, 500) / 1_000);
});

test('the process is asked once a second at most, and again after that', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const reader = new ServerReader(undefined);
  const rss = vi.spyOn(process.memoryUsage, 'rss');
  onTestFinished(() => rss.mockRestore());
  const shown = () => reader.read()[PROCESS_CELL.residentBytes];
  rss.mockReturnValue(1_000_000);
  expect(shown()).toBe(1_000_000);
  rss.mockReturnValue(2_000_000);
  vi.advanceTimersByTime(999);
  expect(shown()).toBe(1_000_000);
  vi.advanceTimersByTime(1);
  expect(shown()).toBe(2_000_000);
});

test('nothing of the process is read for an embedder, who shows it himself', () => {
  const reading = new ServerReader(undefined, false).read();
  for (const cell of Object.values(PROCESS_CELL)) expect(reading[cell]).toBe(0);
});
