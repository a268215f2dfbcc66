import { expect, it } from 'vitest';
import { decodeCursor, encodeCursor } from '../../src/contract/queries.ts';

const POSITION = { rank: 3, host: 'büro "東京"', hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B' };
const CURSOR = encodeCursor(POSITION);
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

it('a cursor is a place in the list of hosts', () => {
  expect(decodeCursor(CURSOR)).toEqual(POSITION);
  expect(CURSOR).toMatch(/^[A-Za-z0-9_-]+$/);
});

it.each([
  ['nothing', ''],
  ['no JSON', 'x'],
  ['the start of a cursor', CURSOR.slice(0, -4)],
  ['a cursor with more behind it', `${CURSOR}AAAA`],
  ['a cursor with a line feed', `${CURSOR}\n`],
  ['a cursor with padding', `${CURSOR}=`],
  ['a number', encoded(3)],
  ['null', encoded(null)],
  ['an object', encoded(POSITION)],
  ['no name', encoded([3, 'ID'])],
  ['a text as rank', encoded(['3', 'ID', 'web'])],
  ['a number as id', encoded([3, 4, 'web'])],
  ['a number as name', encoded([3, 'ID', 4])],
  ['more than a place', encoded([3, 'ID', 'web', 5])],
])('%s is no cursor', (_, text) => {
  expect(decodeCursor(text)).toBeUndefined();
});
