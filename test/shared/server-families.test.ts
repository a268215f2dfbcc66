import { expect, test } from 'vitest';
import { deriveCells, PROCESS_CELL, READING_CELLS } from '../../src/shared/server-families.ts';
import { CELL } from '../../src/shared/server-stats.ts';

// Threads count while they are read: the answer to an operation may be seen, and the operation not yet.
test.each([
  [7, 5, 2],
  [5, 5, 0],
  [5, 7, 0],
])('of %i operations of which %i were answered %i are waiting', (submitted, answered, pending) => {
  const reading = new Float64Array(READING_CELLS);
  reading[CELL.submitted] = submitted;
  reading[CELL.answered] = answered;
  deriveCells(reading);
  expect(reading[PROCESS_CELL.pendingOperations]).toBe(pending);
});
