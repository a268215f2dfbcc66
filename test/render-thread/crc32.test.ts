import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { combineCrc32, crcShift } from '../../src/render-thread/crc32.ts';

test('the CRC of two texts put together comes from the CRCs of each', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      const combined = combineCrc32(crc32(a), crc32(b), crcShift(b.length));
      expect(combined).toBe(crc32(Buffer.concat([a, b])));
    }),
  );
});

test('a long text shifts as well as its halves do', () => {
  const half = Buffer.alloc(3_000_001, 'restic');
  const combined = combineCrc32(crc32(half), crc32(half), crcShift(half.length));
  expect(combined).toBe(crc32(Buffer.concat([half, half])));
});
