import { constants, crc32, deflateRawSync } from 'node:zlib';
import type { TextWriter } from '../shared/text-format.ts';
import { combineCrc32, crcShift } from './crc32.ts';
import type { Checksum, Encoder } from './encoder.ts';
import { Scratch } from './scratch.ts';

/** RFC 1952, section 2.3: deflate, no name, no time, compressed as fast as possible, unknown system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
const LAST_BLOCK = Buffer.from([0x03, 0x00]); // an empty one
const TRAILER_BYTES = 8;
/** Of a block that is not compressed: three bits that say so, padded, its length, and the length inverted. */
const STORED_HEAD_BYTES = 5;
const MAX_STORED_BYTES = 0xffff;

/**
 * One gzip member out of parts that were compressed each on its own, so that only those that changed have to
 * be compressed again: compressing costs many times the rendering.
 *
 * Each part is a raw deflate stream that ends in a sync flush instead of a last block. Such streams may be
 * put one behind the other; with a header, a last empty block, and the CRC combined from theirs they make one
 * member (RFC 1951, RFC 1952). One, since some clients read only the first.
 */
export class GzipEncoder implements Encoder {
  readonly head = HEADER;
  readonly #text = new Scratch();

  encode(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum {
    const text = this.#write(bound, write);
    scratch.append(deflate(text));
    return checksum(text);
  }

  /** In blocks that are not compressed (RFC 1951, section 3.2.4). What is in front ends at a whole byte. */
  store(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum {
    const text = this.#write(bound, write);
    for (let at = 0; at < text.length; at += MAX_STORED_BYTES) {
      const block = text.subarray(at, at + MAX_STORED_BYTES);
      const head = Buffer.alloc(STORED_HEAD_BYTES);
      head.writeUInt16LE(block.length, 1);
      head.writeUInt16LE(~block.length & 0xffff, 3);
      scratch.append(head);
      scratch.append(block);
    }
    return checksum(text);
  }

  #write(bound: number, write: (out: TextWriter) => void): Buffer {
    this.#text.clear();
    this.#text.write(bound, write);
    return this.#text.bytes();
  }

  join(checksums: readonly Checksum[]): Checksum {
    let crc = 0;
    let length = 0;
    for (const part of checksums) {
      crc = combineCrc32(crc, part.crc, part.shift);
      length += part.length;
    }
    return { crc, shift: crcShift(length), length };
  }

  tail({ crc, length }: Checksum): Buffer {
    const tail = Buffer.alloc(LAST_BLOCK.length + TRAILER_BYTES);
    LAST_BLOCK.copy(tail);
    tail.writeUInt32LE(crc, LAST_BLOCK.length);
    tail.writeUInt32LE(length % 2 ** 32, LAST_BLOCK.length + 4);
    return tail;
  }
}

function checksum(text: Buffer): Checksum {
  return { crc: crc32(text), shift: crcShift(text.length), length: text.length };
}

function deflate(text: Buffer): Buffer {
  return deflateRawSync(text, {
    level: constants.Z_BEST_SPEED,
    finishFlush: constants.Z_SYNC_FLUSH,
    // A part is some 8 KB: a larger window and hash table would only be cleared for nothing each time.
    windowBits: 13,
    memLevel: 7,
    // About what a part comes to. The default leaves 16 KiB of garbage each.
    chunkSize: 4096,
  });
}
