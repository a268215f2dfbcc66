import type { Encoding } from '../contract/encoding.ts';
import type { Checksum, Encoder } from './encoder.ts';
import { GzipEncoder } from './gzip.ts';

const NO_BYTES = Buffer.alloc(0);
const NO_CHECKSUM: Checksum = { crc: 0, shift: 0, length: 0 };

const encodeIdentity: Encoder['encode'] = (scratch, bound, write) => {
  scratch.write(bound, write);
  return NO_CHECKSUM;
};

const identityEncoder: Encoder = {
  head: NO_BYTES,
  encode: encodeIdentity,
  encodeStored: encodeIdentity,
  join: () => NO_CHECKSUM,
  tail: () => NO_BYTES,
};

export function encoderFor(encoding: Encoding): Encoder {
  return encoding === 'gzip' ? new GzipEncoder() : identityEncoder;
}
