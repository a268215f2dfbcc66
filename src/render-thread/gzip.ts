import { constants, crc32, deflateRawSync } from 'node:zlib';
import type { TextWriter } from '../shared/text-format.ts';
import { combineCrc32, crcShift } from './crc32.ts';
import type { Checksum, Encoder } from './encoder.ts';
import { Scratch } from './scratch.ts';

/** RFC 1952, section 2.3: deflate, no name, no time, fastest compression, unknown operating system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
const LAST_BLOCK = Buffer.from([0x03, 0x00]); // an empty one
const TRAILER_BYTES = 8;
/** Header of a stored block: the block type, padded to a byte, then the length and its complement. */
const STORED_HEAD_BYTES = 5;
const MAX_STORED_BYTES = 0xffff;

/**
 * Builds one gzip member from texts that were compressed independently. Compressing takes many
 * times as long as rendering, so only texts that changed should be compressed again.
 *
 * Each text becomes a raw deflate stream that ends in a sync flush instead of a final block. Such
 * streams can be concatenated. With a header, an empty final block, and the CRC combined from those
 * of the texts, they form one member (RFC 1951, RFC 1952). It must be a single member, because
 * some clients read only the first.
 */
export class GzipEncoder implements Encoder {
  readonly head = HEADER;
  readonly #text = new Scratch();

  encode(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum {
    const text = this.#write(bound, write);
    scratch.append(deflate(text));
    return checksum(text);
  }

  /**
   * Uses stored blocks (RFC 1951, section 3.2.4). They must start at a byte boundary, which the
   * sync flush in front of them guarantees.
   */
  encodeStored(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum {
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
    // The rows of a page are about 8 KB. zlib clears its window and hash table for each of them, so
    // larger ones would only cost time.
    windowBits: 13,
    memLevel: 7,
    // About the size of the output. The default would leave 16 KiB of garbage per call.
    chunkSize: 4096,
  });
}
