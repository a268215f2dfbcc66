import { expect, test } from 'vitest';
import { ago, bytes, count, duration, moment, span, time } from '../../src/page/units.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test.each([
  [-5 * MINUTE, 'just now'],
  [59 * SECOND, 'just now'],
  [60 * SECOND, 'a minute ago'],
  [89 * SECOND, 'a minute ago'],
  [90 * SECOND, '2 min ago'],
  [5 * MINUTE, '5 min ago'],
  [89 * MINUTE, '89 min ago'],
  [90 * MINUTE, '2 h ago'],
  [3 * HOUR, '3 h ago'],
  [35 * HOUR, '35 h ago'],
  [36 * HOUR, '2 days ago'],
  [2 * DAY, '2 days ago'],
  [400 * DAY, '400 days ago'],
])('%i ms before now is %s', (ms, expected) => {
  expect(ago(-ms, 0)).toBe(expected);
});

test.each([
  [0, '0 s'],
  [440, '0.4 s'],
  [9_940, '9.9 s'],
  [12_345, '12 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [93_500, '1 min 33 s'],
  [2 * HOUR, '2 h'],
  [2 * HOUR + 5 * MINUTE, '2 h 5 min'],
  [DAY - 1, '23 h 59 min'],
  [DAY, '1 day'],
  [2 * DAY - 1, '1 day 23 h'],
  [2 * DAY, '2 days'],
  [3 * DAY + 4 * HOUR, '3 days 4 h'],
])('a job of %i ms took %s', (ms, expected) => {
  expect(duration(ms)).toBe(expected);
});

test.each([
  [0, '0 B'],
  [1_023, '1,023 B'],
  [1_024, '1 KiB'],
  [1_048_575, '1 MiB'],
  [1_073_700_000, '1 GiB'],
  [73_014_444_032, '68 GiB'],
  [73_122_000_000, '68.1 GiB'],
  [1.5 * 2 ** 40, '1.5 TiB'],
  [2 ** 53, '8 PiB'],
  [2 ** 61, '2,048 PiB'],
])('%i bytes are %s', (value, expected) => {
  expect(bytes(value)).toBe(expected);
});

test('a count has its plural, and a time its year only when it is far away', () => {
  expect([count(1, 'host'), count(0, 'host'), count(12_345, 'host')]).toEqual([
    '1 host',
    '0 hosts',
    '12,345 hosts',
  ]);
  expect(span(24 * HOUR)).toBe('24 h');
  const at = new Date(2026, 10, 26, 12, 3, 4).getTime();
  expect(time(at)).toBe('12:03:04');
  for (const days of [1, 179, -179]) expect(moment(at, at + days * DAY)).toBe('26 Nov, 12:03');
  for (const days of [180, 300, -180])
    expect(moment(at, at + days * DAY)).toBe('26 Nov 2026, 12:03');
});
