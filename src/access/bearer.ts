import { createHash, timingSafeEqual } from 'node:crypto';
import { RmError } from '../errors.ts';

/**
 * Returns the token of an `Authorization: Bearer` header (RFC 6750, section 2.1). The scheme is
 * case-insensitive.
 */
export function bearerToken(authorization: string): string | undefined {
  return /^bearer +([^\s]+) *$/i.exec(authorization)?.[1];
}

/** uWebSockets.js answers with 431 if the headers of a request have more than 4 KiB. */
const MAX_TOKEN_LENGTH = 1_024;

/** Returns whether a client can send this token in a header: visible ASCII, no spaces, not too long. */
export function isSendableToken(token: string): boolean {
  return (
    typeof token === 'string' && token.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7e]+$/.test(token)
  );
}

export const TOKEN_EXPECTED = `1 to ${MAX_TOKEN_LENGTH} visible ASCII characters without spaces`;

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * A token, kept as its SHA-256. Comparing digests leaks neither the content nor the length of the
 * token through timing.
 */
export class SecretToken {
  readonly #digest: Buffer;

  /** @throws RmError `invalid_settings` */
  constructor(token: string) {
    if (!isSendableToken(token)) {
      throw new RmError('invalid_settings', `token: must be ${TOKEN_EXPECTED}`);
    }
    this.#digest = sha256(token);
  }

  equals(other: SecretToken): boolean {
    return timingSafeEqual(this.#digest, other.#digest);
  }

  matches(token: string | undefined): boolean {
    return timingSafeEqual(this.#digest, sha256(token ?? '')) && token !== undefined;
  }
}
