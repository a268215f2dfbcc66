import type { EnrolledHost } from '../../contract/operations.ts';
import type { Statement } from '../../contract/statements.ts';
import type { Session } from './session.ts';

const PAGE = 20_000;
/** How long other instances can learn from a row that a host was removed. */
const TOMBSTONES_KEPT_MS = 24 * 60 * 60 * 1_000;

/** A host with the SHA-256 of its token; null once the host is removed. */
export type TokenRow = readonly [hostId: string, tokenDigest: Uint8Array | null];

/** The table `tokens`: which host has which token, and which hosts were removed. */
export class Tokens {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Every enrolled host, sorted by its id. */
  *all(): Iterable<EnrolledHost> {
    const sql = `SELECT host_id, token_digest FROM tokens
      WHERE host_id > $1 AND token_digest IS NOT NULL ORDER BY host_id LIMIT ${PAGE}`;
    for (let after = ''; ; ) {
      const page = this.#session.rows<EnrolledHost>(sql, after);
      yield* page;
      if (page.length < PAGE) return;
      after = page.at(-1)?.[0] ?? '';
    }
  }

  /** Tokens that were changed in transactions that the snapshot does not include. */
  changedSince(snapshot: string): TokenRow[] {
    return this.#session.rows<TokenRow>(
      `SELECT host_id, token_digest FROM tokens
       WHERE changed >= pg_snapshot_xmin($1::pg_snapshot)
         AND NOT pg_visible_in_snapshot(changed, $1::pg_snapshot)`,
      snapshot,
    );
  }

  add(hosts: readonly { readonly hostId: string; readonly tokenDigest: Uint8Array }[]): Statement {
    return {
      text: `INSERT INTO tokens (host_id, token_digest)
        SELECT host_id, token_digest FROM unnest($1::text[], $2::bytea[]) AS new (host_id, token_digest)`,
      values: [hosts.map(({ hostId }) => hostId), hosts.map(({ tokenDigest }) => tokenDigest)],
    };
  }

  replace(hostId: string, tokenDigest: Uint8Array): void {
    this.#session.run(
      'UPDATE tokens SET token_digest = $2, changed = pg_current_xact_id() WHERE host_id = $1',
      hostId,
      tokenDigest,
    );
  }

  remove(hostId: string, atMs: number): void {
    this.#session.run(
      `UPDATE tokens SET token_digest = NULL, removed_at = $2, changed = pg_current_xact_id()
       WHERE host_id = $1`,
      hostId,
      atMs,
    );
  }

  /** Deletes the rows of hosts that were removed a day ago. */
  forgetRemoved(atMs: number): void {
    this.#session.run('DELETE FROM tokens WHERE removed_at < $1', atMs - TOMBSTONES_KEPT_MS);
  }
}
