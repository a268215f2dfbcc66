import { afterEach, expect, test, vi } from 'vitest';
import type { EventLog } from '../../src/platform/event-log.ts';
import { CELL, ServerStats, STATS_CELLS } from '../../src/shared/server-stats.ts';
import { StoreHealth } from '../../src/store-thread/store-health.ts';

afterEach(() => void vi.useRealTimers());

test('a recovery says how many seconds the database could not be written', () => {
  vi.useFakeTimers();
  const logged: unknown[][] = [];
  const note = (...entry: unknown[]) => void logged.push(entry);
  const health = new StoreHealth(
    'fleet.db',
    { error: note, info: note } as unknown as EventLog,
    undefined,
  );
  health.failed('disk I/O error');
  vi.advanceTimersByTime(90_000);
  health.failed('disk I/O error');
  health.worked();
  health.worked();
  expect(logged).toEqual([
    ['store_failed', { file: 'fleet.db', error: 'disk I/O error' }, expect.any(String)],
    ['store_recovered', { file: 'fleet.db', after_seconds: 90 }, expect.any(String)],
  ]);
});

test('every failure is counted, not only the first of those that are logged as one', () => {
  const stats = ServerStats.create();
  const health = new StoreHealth('fleet.db', undefined, stats.writer());
  const counted = () => {
    const cells = new Float64Array(STATS_CELLS);
    stats.read(cells);
    return cells[CELL.storeFailures];
  };
  for (let n = 0; n < 3; n++) health.failed('database or disk is full');
  expect(counted()).toBe(3);
  health.worked();
  expect(counted()).toBe(3);
  health.defect(new Error('no such column'));
  expect(counted()).toBe(4);
});
