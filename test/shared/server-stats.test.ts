import { expect, test } from 'vitest';
import { MAX_AGENT_THREADS } from '../../src/config/settings.ts';
import {
  CELL,
  DURATION_BOUNDS_SECONDS,
  ServerStats,
  STATS_CELLS,
} from '../../src/shared/server-stats.ts';

test('every thread can count with as many agent loops as the settings allow', () => {
  const stats = ServerStats.create();
  // Each loop, the main thread and the store thread.
  const threads = MAX_AGENT_THREADS + 2;
  const writers = Array.from({ length: threads }, () => stats.writer());
  for (const writer of writers) writer.connection(1);
  const cells = new Float64Array(STATS_CELLS);
  stats.read(cells);
  expect(cells[CELL.connections]).toBe(threads);
});

test('a duration that equals the bound of a bucket is in that bucket', () => {
  const stats = ServerStats.create();
  const writer = stats.writer();
  for (const seconds of DURATION_BOUNDS_SECONDS) writer.commitDuration(seconds * 1_000);
  writer.commitDuration(5_001);
  const cells = new Float64Array(STATS_CELLS);
  stats.read(cells);
  const first = CELL.commitDuration;
  const buckets = cells.slice(first, first + DURATION_BOUNDS_SECONDS.length + 1);
  expect([...buckets]).toEqual(Array(DURATION_BOUNDS_SECONDS.length + 1).fill(1));
});
