import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONTENT_TYPE,
  COPY_SLACK_BYTES,
  CopyableText,
  copyByEights,
  escapeLabelValue,
  labelText,
  NUMBER_BYTES,
  TextWriter,
} from '../../src/shared/text-format.ts';

it('names the version of the format and the charset', () => {
  expect(CONTENT_TYPE).toBe('text/plain; version=0.0.4; charset=utf-8');
});

describe('label values', () => {
  it.each([
    ['plain', 'plain'],
    ['', ''],
    ['\\', '\\\\'],
    ['"', '\\"'],
    ['\n', '\\n'],
    ['\\n', '\\\\n'],
    ['\\"\n\\', '\\\\\\"\\n\\\\'],
    ['tab\t, return\r, nul\0, é and 🗄 stay', 'tab\t, return\r, nul\0, é and 🗄 stay'],
  ])('%j is written as %s', (value, escaped) => {
    expect(escapeLabelValue(value)).toBe(escaped);
    expect(labelText({ first: '1', name: value })).toBe(`first="1",name="${escaped}"`);
  });

  it('no labels are no text', () => {
    expect(labelText({})).toBe('');
  });
});

describe('integer', () => {
  it.each([
    0,
    9,
    10,
    99,
    100,
    999_999_999,
    1_000_000_000,
    1_000_000_001,
    9_999_999_999,
    123_000_000_456,
    999_999_999_999_999,
    2 ** 31,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
  ])('%d and its negative are written as JavaScript does', (value) => {
    expect(integer(value)).toBe(String(value));
    expect(integer(-value)).toBe(value === 0 ? '0' : `-${value}`);
  });

  it('any safe integer is written as JavaScript does', () => {
    fc.assert(
      fc.property(anySize, (value) => {
        expect(integer(value)).toBe(String(value));
      }),
      {
        numRuns: 2_000,
      },
    );
  });
});

describe('milliseconds', () => {
  it.each([
    [0, '0'],
    [1, '0.001'],
    [10, '0.01'],
    [100, '0.1'],
    [999, '0.999'],
    [1_000, '1'],
    [1_001, '1.001'],
    [1_010, '1.01'],
    [1_100, '1.1'],
    [10_000, '10'],
    [1_763_632_803_500, '1763632803.5'],
    [-1, '-0.001'],
    [-1_500, '-1.5'],
    [2 ** 53 - 1, '9007199254740.991'],
    [-(2 ** 53) + 1, '-9007199254740.991'],
  ])('%d ms are %s s', (ms, seconds) => {
    expect(milliseconds(ms)).toBe(seconds);
  });

  it('are exact, read back the same, and have no zero to spare', () => {
    fc.assert(
      fc.property(anySize, (ms) => {
        const text = milliseconds(ms);
        expect(text).toMatch(/^-?(0|[1-9]\d*)(\.\d{0,2}[1-9])?$/);
        expect(Number(text)).toBe(ms / 1000);
        const [whole, fraction = ''] = text.replace('-', '').split('.');
        expect(`${whole}${fraction.padEnd(3, '0')}`.replace(/^0+(?=\d)/, '')).toBe(
          String(Math.abs(ms)),
        );
        // Up to 2^43 s doubles are closer than milliseconds, so JavaScript's shortest form is this one.
        if (Math.abs(ms) < 2 ** 43 * 1000) expect(text).toBe(String(ms / 1000));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('TextWriter', () => {
  it('appends bytes, ranges, text and numbers one after the other', () => {
    const out = new TextWriter(Buffer.alloc(64));
    out.copy(new CopyableText('é '));
    out.length = copyByEights(new CopyableText('abcdef').view, 2, 4, out.view, out.length);
    out.text(' 🗄 ');
    out.integer(-12);
    out.text(' ');
    out.milliseconds(1_250);
    out.endLine();
    expect(out.bytes.toString('utf8', 0, out.length)).toBe('é cd 🗄 -12 1.25\n');
  });
});

describe('copying by eights', () => {
  it('any text is copied to the byte, and what follows is at most the slack', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat({ max: 20 }), (text, at) => {
        const source = new CopyableText(text);
        const target = Buffer.alloc(at + source.length + 2 * COPY_SLACK_BYTES, 0xaa);
        const out = new TextWriter(target);
        out.length = at;
        out.copy(source);
        expect(target.toString('utf8', at, out.length)).toBe(Buffer.from(text).toString());
        expect(target.subarray(0, at).every((byte) => byte === 0xaa)).toBe(true);
        const behind = target.subarray(out.length + COPY_SLACK_BYTES);
        expect(behind.every((byte) => byte === 0xaa)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

/** As many small ones as large ones: powers of ten apart, and of either sign. */
const anySize = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.integer({ min: -2_000, max: 2_000 }),
  fc
    .tuple(fc.integer({ min: -9_000, max: 9_000 }), fc.nat({ max: 11 }))
    .map(([digits, exponent]) => digits * 10 ** exponent),
);

function written(write: (out: TextWriter) => void): string {
  const out = new TextWriter(Buffer.alloc(NUMBER_BYTES));
  write(out);
  expect(out.length).toBeLessThanOrEqual(NUMBER_BYTES);
  return out.bytes.toString('latin1', 0, out.length);
}

function integer(value: number): string {
  return written((out) => out.integer(value));
}

function milliseconds(ms: number): string {
  return written((out) => out.milliseconds(ms));
}
