import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRfc3339 } from '../../../src/loop/agents/rfc3339.ts';

/** The same moment as a string that Date reads alike on every engine, or undefined. */
function read(text: string): string | undefined {
  const ms = parseRfc3339(text);
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

describe('a time', () => {
  it.each([
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
    ['1969-12-31T23:59:59.999Z', '1969-12-31T23:59:59.999Z'],
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02t03:04:05z', '2026-01-02T03:04:05.000Z'],

    // The examples of RFC 3339, section 5.8.
    ['1985-04-12T23:20:50.52Z', '1985-04-12T23:20:50.520Z'],
    ['1996-12-19T16:39:57-08:00', '1996-12-20T00:39:57.000Z'],
    ['1990-12-31T23:59:60Z', '1991-01-01T00:00:00.000Z'],
    ['1990-12-31T15:59:60-08:00', '1991-01-01T00:00:00.000Z'],
    ['1937-01-01T12:00:27.87+00:20', '1937-01-01T11:40:27.870Z'],

    // Offsets.
    ['2026-01-02T03:04:05+00:00', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05-00:00', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05+05:45', '2026-01-01T21:19:05.000Z'],
    ['2026-01-02T03:04:05-09:30', '2026-01-02T12:34:05.000Z'],
    ['2026-12-31T23:30:00-01:00', '2027-01-01T00:30:00.000Z'],
    ['2024-03-01T00:30:00+01:00', '2024-02-29T23:30:00.000Z'],
    ['2026-01-02T00:00:00+23:59', '2026-01-01T00:01:00.000Z'],
    ['2026-01-01T00:00:00-23:59', '2026-01-01T23:59:00.000Z'],

    // Fractions: what is finer than a millisecond is cut off, not rounded into the next second.
    ['2026-01-02T03:04:05.6Z', '2026-01-02T03:04:05.600Z'],
    ['2026-01-02T03:04:05.06Z', '2026-01-02T03:04:05.060Z'],
    ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.6789Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.67890Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.678901Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.9999999Z', '2026-01-02T03:04:05.999Z'],
    ['2026-01-02T03:04:05.00000001Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05.678901234Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.678901234+01:00', '2026-01-02T02:04:05.678Z'],
    ['1969-12-31T23:59:59.9999Z', '1969-12-31T23:59:59.999Z'],

    // A leap second is the first moment of the next minute.
    ['2016-12-31T23:59:60.25Z', '2017-01-01T00:00:00.250Z'],

    // The calendar.
    ['2024-02-29T12:00:00Z', '2024-02-29T12:00:00.000Z'],
    ['2000-02-29T12:00:00Z', '2000-02-29T12:00:00.000Z'],
    ['2026-04-30T12:00:00Z', '2026-04-30T12:00:00.000Z'],
    ['2026-12-31T23:59:59Z', '2026-12-31T23:59:59.000Z'],
    ['0000-01-01T00:00:00Z', '0000-01-01T00:00:00.000Z'],
    ['0000-02-29T00:00:00Z', '0000-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0070-01-01T00:00:00Z', '0070-01-01T00:00:00.000Z'], // not 1970
    ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, moment) => {
    expect(read(text)).toBe(moment);
  });
});

describe('no time', () => {
  it.each([
    '',
    'now',
    '1767323045',
    '2026-01-02',
    '03:04:05Z',
    '2026-01-02T03:04Z',
    // Without a zone it would be another moment on every machine.
    '2026-01-02T03:04:05',
    '2026-01-02T03:04:05.678',
    '2026-01-02 03:04:05Z',
    '2026-01-02_03:04:05Z',
    ' 2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05Z ',
    '2026-01-02T03:04:05Z\n',
    '2026-01-02T03:04:05 Z',
    '26-01-02T03:04:05Z',
    '+002026-01-02T03:04:05Z',
    '-0001-01-02T03:04:05Z',
    '12026-01-02T03:04:05Z',
    '2026-1-2T03:04:05Z',
    '2026-01-02T3:04:05Z',
    '20260102T030405Z',
    '2026-W01-5T03:04:05Z',
    '2026-002T03:04:05Z',
    '٢٠٢٦-01-02T03:04:05Z',

    '2026-00-02T03:04:05Z',
    '2026-13-02T03:04:05Z',
    '2026-01-00T03:04:05Z',
    '2026-01-32T03:04:05Z',
    '2026-04-31T03:04:05Z',
    '2026-02-29T03:04:05Z',
    '2024-02-30T03:04:05Z',
    '1900-02-29T03:04:05Z',
    '2100-02-29T03:04:05Z',
    '0001-02-29T03:04:05Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02T03:60:05Z',
    '2026-01-02T03:04:61Z',
    '2026-01-02T-3:04:05Z',

    '2026-01-02T03:04:05.Z',
    '2026-01-02T03:04:05,678Z',
    '2026-01-02T03:04:05.1234567890Z',
    '2026-01-02T03:04:05.12e3Z',

    '2026-01-02T03:04:05+24:00',
    '2026-01-02T03:04:05+00:60',
    '2026-01-02T03:04:05+0100',
    '2026-01-02T03:04:05+01',
    '2026-01-02T03:04:05+1:00',
    '2026-01-02T03:04:05\u221201:00', // a minus sign, but not the ASCII one
    '2026-01-02T03:04:05Z+01:00',
    '2026-01-02T03:04:05 +01:00',
    '2026-01-02T03:04:05GMT',
    '2026-01-02T03:04:05[Europe/Vienna]',
  ])('%j', (text) => {
    expect(read(text)).toBeUndefined();
  });
});

const MOMENTS = fc.date({
  min: new Date('0000-01-01T00:00:00.000Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
  noInvalidDate: true,
});

it('every moment that Date writes is read back', () => {
  fc.assert(
    fc.property(MOMENTS, (moment) => {
      expect(parseRfc3339(moment.toISOString())).toBe(moment.getTime());
    }),
  );
});

it('a moment is the same one in every zone, in either case, with any finer digits', () => {
  const minutes = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });
  const finer = fc.stringMatching(/^\d{0,6}$/);
  const inner = fc.date({
    min: new Date('0000-01-02T00:00:00.000Z'),
    max: new Date('9999-12-30T23:59:59.999Z'),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(inner, minutes, finer, fc.boolean(), (moment, offset, digits, lower) => {
      const local = new Date(moment.getTime() + offset * 60_000).toISOString().slice(0, -1);
      const [sign, size] = offset < 0 ? ['-', -offset] : ['+', offset];
      const two = (part: number) => String(Math.floor(part)).padStart(2, '0');
      const text = `${local}${digits}${sign}${two(size / 60)}:${two(size % 60)}`;
      expect(parseRfc3339(lower ? text.toLowerCase() : text)).toBe(moment.getTime());
    }),
  );
});

it('a near miss is refused, or is the moment that Date takes it for', () => {
  // Near misses: one character of a good time replaced by another of those that times are made of.
  const nearMiss = fc
    .tuple(MOMENTS, fc.nat(22), fc.constantFrom(...'0123456789-+:.TZ '))
    .map(([moment, at, character]) => {
      const text = moment.toISOString();
      return text.slice(0, at) + character + text.slice(at + 1);
    });
  fc.assert(
    fc.property(nearMiss, (text) => {
      const ms = parseRfc3339(text);
      fc.pre(!text.includes(':60.')); // Date knows no leap seconds
      if (ms !== undefined) expect(new Date(text).getTime()).toBe(ms);
    }),
  );
});
