import { expect, it } from 'vitest';
import { readableDetails } from '../../src/commands/readable-details.ts';
import { detailsJson } from '../../src/contract/host-details.ts';
import { RUNNING, UNKNOWN } from '../support/unknown-host.ts';

it.each([
  [0, '0s'],
  [1_234, '1.234s'],
  [59_999, '59.999s'],
  [60_000, '1m 0s'],
  [3_599_999, '59m 59s'],
  [3_600_000, '1h 0m 0s'],
  [7_503_000, '2h 5m 3s'],
  [90_061_000, '25h 1m 1s'],
])('a job of %i ms took %s', (ms, shown) => {
  const job = { ...RUNNING, status: 'succeeded', finishedAtMs: ms, exitCode: 0 } as const;
  const json = detailsJson({ ...UNKNOWN, jobs: [job] });
  const line = readableDetails(json).split('\n').at(-1);
  expect(line?.split(/ {2,}/)).toEqual([
    '1970-01-01T00:00:00.000Z',
    new Date(ms).toISOString(),
    shown,
    'backup',
    'succeeded',
    '0',
    'a',
  ]);
});
