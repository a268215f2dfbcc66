import type { Statements } from './statements.ts';

/** A change of the hosts that another process made. */
export interface HostChange {
  /** Increases with each change. */
  readonly seq: number;
  readonly hostId: string;
  readonly change: 'added' | 'removed' | 'token' | 'renamed';
  /** SHA-256 of the current token; null if the host is no longer enrolled, like its name. */
  readonly tokenDigest: Uint8Array | null;
  readonly host: string | null;
}

/** The table `host_changes`: a command inserts rows, and the running control plane reads and deletes them. */
export class HostChanges {
  readonly #statements: Statements;
  readonly #isWriter: boolean;

  /** @param isWriter whether changes must be recorded, because another process may serve the database */
  constructor(statements: Statements, isWriter: boolean) {
    this.#statements = statements;
    this.#isWriter = isWriter;
  }

  add(hostId: string, change: HostChange['change']): void {
    if (!this.#isWriter) return;
    const sql = 'INSERT INTO host_changes (host_id, change) VALUES (?, ?)';
    this.#statements.run(sql, hostId, change);
  }

  since(seq: number): HostChange[] {
    const rows = this.#statements.all<
      [number, string, HostChange['change'], HostChange['tokenDigest'], string | null]
    >(
      `SELECT c.seq, c.host_id, c.change, h.token_digest, h.host
       FROM host_changes c LEFT JOIN hosts h USING (host_id) WHERE c.seq > ? ORDER BY c.seq`,
      seq,
    );
    return rows.map(([seq, hostId, change, tokenDigest, host]) => ({
      seq,
      hostId,
      change,
      tokenDigest,
      host,
    }));
  }

  forget(seq: number): void {
    this.#statements.run('DELETE FROM host_changes WHERE seq <= ?', seq);
  }

  last(): number {
    const sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'host_changes'";
    return this.#statements.get<[number]>(sql)?.[0] ?? 0;
  }
}
