import type { TextWriter } from '../shared/text-format.ts';
import type { Scratch } from './scratch.ts';

/**
 * The CRC and the length of some text. The tail of a gzip body is computed from the checksums of
 * all its pieces.
 */
export interface Checksum {
  readonly crc: number;
  /** `crcShift(length)`, which `combineCrc32` needs. */
  readonly shift: number;
  readonly length: number;
}

/** Encodes a body piece by piece. Each piece is encoded on its own and can follow any other piece. */
export interface Encoder {
  /** Bytes in front of the first piece. May be empty, as may the tail. */
  readonly head: Buffer;
  /**
   * Appends the encoded form of the text that `write` writes to `scratch`. `bound` is the maximum
   * length of that text in bytes.
   */
  encode(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum;
  /**
   * Like `encode`, but without compression. For a small text that is different in every body:
   * compressing it would take longer than sending it.
   */
  encodeStored(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum;
  /** The checksum of the concatenation. */
  join(checksums: readonly Checksum[]): Checksum;
  /** Bytes after the last piece, computed from the checksum of the whole text. */
  tail(checksum: Checksum): Buffer;
}
