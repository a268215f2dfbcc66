import type { EnrolledHost } from '../../contract/operations.ts';
import type { Changes } from '../changes.ts';
import type { TokenRow } from './tokens.ts';

/**
 * The tokens that the loops of this instance know. A loop asks the store about unknown tokens. The answer
 * comes from here, so that an attacker's tokens do not cause queries.
 */
export class KnownTokens {
  /** The digests as strings of bytes, which can be keys and take less memory than Buffers. */
  readonly #digests = new Map<string, string>();
  readonly #hosts = new Map<string, string>();

  all(): EnrolledHost[] {
    return Array.from(this.#digests, ([hostId, digest]) => [hostId, Buffer.from(digest, 'latin1')]);
  }

  hostOf(tokenDigest: Uint8Array): string | undefined {
    return this.#hosts.get(keyOf(tokenDigest));
  }

  /** Applies a row of the database, and adds to `changes` what the loops do not know yet. */
  follow([hostId, tokenDigest]: TokenRow, changes: Changes): void {
    const known = this.#digests.get(hostId);
    if (tokenDigest === null) {
      if (known === undefined) return;
      changes.removed.push(hostId);
    } else if (known !== keyOf(tokenDigest)) {
      if (known !== undefined) changes.tokensReplaced.push(hostId);
      changes.enrolled.push([hostId, tokenDigest]);
    }
    this.set([hostId, tokenDigest]);
  }

  /** Applies all rows of the database. Known hosts that are not among them have been removed. */
  followAll(rows: Iterable<EnrolledHost>, changes: Changes): void {
    const missing = new Set(this.#digests.keys());
    for (const row of rows) {
      missing.delete(row[0]);
      this.follow(row, changes);
    }
    for (const hostId of missing) this.follow([hostId, null], changes);
  }

  /** Notes a new token, or the removal of a host, that the loops learn in another way. */
  set([hostId, tokenDigest]: TokenRow): void {
    const known = this.#digests.get(hostId);
    if (known !== undefined) this.#hosts.delete(known);
    this.#digests.delete(hostId);
    if (tokenDigest === null) return;
    this.#digests.set(hostId, keyOf(tokenDigest));
    this.#hosts.set(keyOf(tokenDigest), hostId);
  }
}

function keyOf(tokenDigest: Uint8Array): string {
  return Buffer.from(tokenDigest).toString('latin1');
}
