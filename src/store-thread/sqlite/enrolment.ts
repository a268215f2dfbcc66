import { createHash, randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import { RmError } from '../../errors.ts';
import type { Changes } from '../changes.ts';
import type { Statements } from './statements.ts';

/** A change of the hosts that another process made. */
export interface HostChange {
  readonly seq: number;
  readonly hostId: string;
  readonly change: 'added' | 'removed' | 'token' | 'renamed';
  /** SHA-256 of the token as it is now; null if the host is gone. */
  readonly tokenDigest: Uint8Array | null;
}

/** Which hosts there are, under which names, with which tokens. Only the SHA-256 of a token is kept. */
export class Enrolment {
  readonly #statements: Statements;
  readonly #tellsServer: boolean;

  /** @param tellsServer whether another process may be serving, which has to learn of each change */
  constructor(statements: Statements, tellsServer: boolean) {
    this.#statements = statements;
    this.#tellsServer = tellsServer;
  }

  has(hostId: string): boolean {
    return this.#statements.get('SELECT 1 FROM hosts WHERE host_id = ?', hostId) !== undefined;
  }

  hostOfToken(digest: Uint8Array): string | undefined {
    const sql = 'SELECT host_id FROM hosts WHERE token_digest = ?';
    return this.#statements.get<[string]>(sql, digest)?.[0];
  }

  /** @throws RmError `invalid_host` naming the first bad name; the caller's transaction then adds none */
  add(hosts: readonly string[], changes: Changes): { hostId: string; token: string }[] {
    for (const [index, host] of hosts.entries()) {
      checkHostName(host, hosts.length === 1 ? undefined : placeOf(host, index));
    }
    return hosts.map((host) => {
      const hostId = ulid();
      const token = newHostToken();
      const digest = digestOf(token);
      this.#statements.run(
        'INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES (?, ?, ?, ?)',
        hostId,
        host,
        digest,
        Date.now(),
      );
      changes.enrolled.push([hostId, digest]);
      this.#tell(hostId, 'added');
      return { hostId, token };
    });
  }

  /** Removes the host, its jobs and its alerts; @returns whether there was such a host */
  remove(hostId: string, changes: Changes): boolean {
    if (this.#statements.run('DELETE FROM hosts WHERE host_id = ?', hostId) === 0) return false;
    changes.removed.push(hostId);
    this.#tell(hostId, 'removed');
    return true;
  }

  replaceToken(hostId: string, changes: Changes): { host: string; token: string } | undefined {
    const token = newHostToken();
    const digest = digestOf(token);
    const row = this.#statements.get<[string]>(
      'UPDATE hosts SET token_digest = ? WHERE host_id = ? RETURNING host',
      digest,
      hostId,
    );
    if (row === undefined) return undefined;
    changes.tokensReplaced.push(hostId);
    changes.enrolled.push([hostId, digest]);
    this.#tell(hostId, 'token');
    return { host: row[0], token };
  }

  /** @throws RmError `invalid_host`; @returns whether there is such a host */
  rename(hostId: string, host: string, changes: Changes): boolean {
    checkHostName(host);
    const sql = 'UPDATE hosts SET host = ? WHERE host_id = ?';
    if (this.#statements.run(sql, host, hostId) === 0) return false;
    changes.rows.add(hostId);
    this.#tell(hostId, 'renamed');
    return true;
  }

  /** What other processes changed since `seq`, oldest first. */
  changesSince(seq: number): HostChange[] {
    const rows = this.#statements.all<
      [number, string, HostChange['change'], HostChange['tokenDigest']]
    >(
      `SELECT c.seq, c.host_id, c.change, h.token_digest
       FROM host_changes c LEFT JOIN hosts h USING (host_id) WHERE c.seq > ? ORDER BY c.seq`,
      seq,
    );
    return rows.map(([seq, hostId, change, tokenDigest]) => ({ seq, hostId, change, tokenDigest }));
  }

  /** Forgets the changes up to `seq`: nobody needs to read them again. */
  forgetChanges(seq: number): void {
    this.#statements.run('DELETE FROM host_changes WHERE seq <= ?', seq);
  }

  lastChange(): number {
    const sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'host_changes'";
    return this.#statements.get<[number]>(sql)?.[0] ?? 0;
  }

  #tell(hostId: string, change: HostChange['change']): void {
    if (!this.#tellsServer) return;
    this.#statements.run(
      'INSERT INTO host_changes (host_id, change) VALUES (?, ?)',
      hostId,
      change,
    );
  }
}

/** A host's secret: 256 random bits, with a prefix by which leaked ones can be searched for. */
function newHostToken(): string {
  return `rmh_${randomBytes(32).toString('base64url')}`;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/**
 * @param place how an error names it
 * @throws RmError `invalid_host`
 */
export function checkHostName(name: string, place = 'host name'): void {
  const length = [...name].length;
  if (length < 1 || length > 255) {
    throw new RmError('invalid_host', `${place}: must have 1 to 255 characters, not ${length}`);
  }
  if (/\p{Cc}/u.test(name)) {
    throw new RmError('invalid_host', `${place}: must not contain control characters`);
  }
}

/** Which of several names is meant: its number, and how it begins. */
function placeOf(name: string, index: number): string {
  const start = [...name].slice(0, SHOWN_CHARACTERS).join('');
  return `host name ${index + 1} (${JSON.stringify(start)}${start === name ? '' : '…'})`;
}

const SHOWN_CHARACTERS = 40;
