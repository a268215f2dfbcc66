import { crc32, gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { GzipEncoder } from '../../src/render-thread/gzip.ts';
import { Scratch } from '../../src/render-thread/scratch.ts';
import type { TextWriter } from '../../src/shared/text-format.ts';

// A stored block has at most 65,535 bytes.
test.each([0, 1, 65_535, 65_536, 200_000])(
  'a text of %i bytes is the same after compression and without it',
  (length) => {
    const text = Array.from({ length }, (_, at) => String.fromCharCode(32 + ((at * at) % 95)));
    const write = (out: TextWriter) => out.text(text.join(''));
    const encoder = new GzipEncoder();
    const scratch = new Scratch();
    scratch.append(encoder.head);
    const checksums = [
      encoder.encode(scratch, length, write),
      encoder.encodeStored(scratch, length, write),
    ];
    const member = Buffer.concat([scratch.bytes(), encoder.tail(encoder.join(checksums))]);
    expect(gunzipSync(member).toString('latin1') === text.join('').repeat(2)).toBe(true);
  },
);

test('the tail has the CRC and the length of the text, modulo 2^32', () => {
  const crc = crc32('restic');
  const tail = new GzipEncoder().tail({ crc, shift: 0, length: 2 ** 32 + 7 });
  // RFC 1952, section 2.3.1
  expect(tail.readUInt32LE(tail.length - 8)).toBe(crc);
  expect(tail.readUInt32LE(tail.length - 4)).toBe(7);
});
