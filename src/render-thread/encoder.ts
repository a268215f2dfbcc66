import type { TextWriter } from '../shared/text-format.ts';
import type { Scratch } from './scratch.ts';

/** What the end of a body has to know of a part of its text. */
export interface Checksum {
  readonly crc: number;
  /** `crcShift` of the length. */
  readonly shift: number;
  readonly length: number;
}

/** Encodes a body in parts: each on its own, and good behind any other. */
export interface Encoder {
  /** What stands before the first part; may be empty, as may the tail. */
  readonly head: Buffer;
  /** Appends the encoded form of what `write` writes (`bound` bytes at the most) to `scratch`. */
  encode(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum;
  /** The same for a small part that is other in each body: compressing it would take longer than sending it. */
  store(scratch: Scratch, bound: number, write: (out: TextWriter) => void): Checksum;
  /** The checksum of parts that follow one another. */
  join(checksums: readonly Checksum[]): Checksum;
  /** What stands behind the last part, by the checksum of all. */
  tail(checksum: Checksum): Buffer;
}
