import type { Encoding } from '../contract/encoding.ts';
import type { Checksum, Encoder } from './encoder.ts';
import { GzipEncoder } from './gzip.ts';

const NOTHING = Buffer.alloc(0);
const NO_CHECKSUM: Checksum = { crc: 0, shift: 0, length: 0 };

const asItIs: Encoder['encode'] = (scratch, bound, write) => {
  scratch.write(bound, write);
  return NO_CHECKSUM;
};

const identity: Encoder = {
  head: NOTHING,
  encode: asItIs,
  store: asItIs,
  join: () => NO_CHECKSUM,
  tail: () => NOTHING,
};

export function encoderFor(encoding: Encoding): Encoder {
  return encoding === 'gzip' ? new GzipEncoder() : identity;
}
