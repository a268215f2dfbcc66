import { createHash, randomBytes } from 'node:crypto';
import { RmError } from '../errors.ts';

/** A host's secret: 256 random bits, with a prefix by which leaked ones can be searched for. */
export function newHostToken(): string {
  return `rmh_${randomBytes(32).toString('base64url')}`;
}

export function tokenDigest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** @throws RmError `invalid_host` */
export function checkHostName(name: string): void {
  const length = [...name].length;
  if (length < 1 || length > 255) {
    throw new RmError('invalid_host', `host name: must have 1 to 255 characters, not ${length}`);
  }
  if (/\p{Cc}/u.test(name)) {
    throw new RmError('invalid_host', 'host name: must not contain control characters');
  }
}
