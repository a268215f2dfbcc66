import type { DatabaseSync } from 'node:sqlite';
import { ulid } from 'ulid';
import type { Host } from '../metrics/host.ts';
import { OFFLINE_ALERT } from './alert-rules.ts';
import { Alerts } from './alerts.ts';
import { checkHostName, newHostToken, tokenDigest } from './enrolment.ts';
import { listedHosts, shownHost, shownHosts } from './host-rows.ts';
import { Jobs } from './jobs.ts';
import type { Answer, Gone, OperationName, Request } from './operations.ts';
import { Statements } from './statements.ts';

type Handlers = { readonly [N in OperationName]: (request: Request<N>) => Answer<N> };

/**
 * The fleet in SQLite: what each operation does, to be run inside a transaction. Hosts whose row in the
 * exposition may have changed are gathered in `touched`, for after the commit.
 */
export class FleetDatabase {
  readonly touched = new Set<string>();
  readonly handlers: Handlers;
  readonly #statements: Statements;
  readonly #alerts: Alerts;
  readonly #jobs: Jobs;

  constructor(db: DatabaseSync) {
    this.#statements = new Statements(db);
    this.#alerts = new Alerts(this.#statements, this.touched);
    this.#jobs = new Jobs(this.#statements, this.#alerts, this.touched);
    this.handlers = {
      addHost: ({ host }) => this.#addHost(host),
      removeHost: ({ hostId }) => this.#removeHost(hostId),
      listHosts: () => listedHosts(this.#statements),
      authenticate: ({ tokenDigest }) => this.#authenticate(tokenDigest),
      hello: (request) => this.#hello(request),
      goodbye: (request) => this.#goodbye(request),
      startJob: (request) => (this.hasHost(request.hostId) ? this.#jobs.start(request) : 'gone'),
      finishJob: (finish) => (this.hasHost(finish.hostId) ? this.#jobs.finish(finish) : 'gone'),
      repoStats: (request) => this.#repoStats(request),
    };
  }

  /**
   * No host is online when a control plane starts; from now on it is known to be away. While there was none
   * to connect to is not its fault, so whoever has no alert yet starts anew.
   */
  forgetConnections(): void {
    this.#statements.run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE status <> 'pending'
         AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.host_id = hosts.host_id AND a.kind = ?)`,
      Date.now(),
      OFFLINE_ALERT.alert,
    );
  }

  /** Every host that has a row in the exposition, in the order of the exposition. */
  hosts(): Iterable<Host> {
    return shownHosts(this.#statements);
  }

  /** One of them; undefined if it has no row. */
  host(hostId: string): Host | undefined {
    return shownHost(this.#statements, hostId);
  }

  /** Every host with the SHA-256 of its token, pending ones included. */
  enrolled(): [hostId: string, tokenDigest: Uint8Array][] {
    return this.#statements.all('SELECT host_id, token_digest FROM hosts');
  }

  tokenDigest(hostId: string): Uint8Array | undefined {
    const sql = 'SELECT token_digest FROM hosts WHERE host_id = ?';
    return this.#statements.get<[Uint8Array]>(sql, hostId)?.[0];
  }

  hasHost(hostId: string): boolean {
    return this.#statements.get('SELECT 1 FROM hosts WHERE host_id = ?', hostId) !== undefined;
  }

  /** Opens an alert for each host that went offline too long ago between the two times, and still is. */
  alertOffline(afterMs: number, untilMs: number): void {
    this.#alerts.openOffline(afterMs, untilMs);
  }

  /** Deletes a few of the jobs that need not be remembered any more; @returns whether there may be more. */
  pruneJobs(now: number): boolean {
    return this.#jobs.prune(now);
  }

  #addHost(host: string): { hostId: string; token: string } {
    checkHostName(host);
    const hostId = ulid();
    const token = newHostToken();
    this.#statements.run(
      'INSERT INTO hosts (host_id, host, token_digest, enrolled_at) VALUES (?, ?, ?, ?)',
      hostId,
      host,
      tokenDigest(token),
      Date.now(),
    );
    return { hostId, token };
  }

  #removeHost(hostId: string): boolean {
    this.touched.add(hostId);
    return this.#statements.run('DELETE FROM hosts WHERE host_id = ?', hostId) > 0;
  }

  #authenticate(digest: Uint8Array): string | undefined {
    const sql = 'SELECT host_id FROM hosts WHERE token_digest = ?';
    return this.#statements.get<[string]>(sql, digest)?.[0];
  }

  #hello({ hostId, connection, agent }: Request<'hello'>): { host: string } | Gone {
    const row = this.#statements.get<[string]>(
      `UPDATE hosts SET status = 'online', connection = ?, offline_since = NULL, agent_version = ?,
         hostname = ?, restic_version = ?, os = ?, arch = ?, boot_time = ?
       WHERE host_id = ? RETURNING host`,
      connection,
      agent.agentVersion,
      agent.hostname,
      agent.resticVersion ?? null,
      agent.os ?? null,
      agent.arch ?? null,
      agent.bootTimeMs ?? null,
      hostId,
    );
    if (row === undefined) return 'gone';
    this.#alerts.resolve(hostId, OFFLINE_ALERT.alert);
    this.touched.add(hostId);
    return { host: row[0] };
  }

  #goodbye({ hostId, connection }: Request<'goodbye'>): null {
    const changed = this.#statements.run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE host_id = ? AND connection = ?`,
      Date.now(),
      hostId,
      connection,
    );
    if (changed > 0) this.touched.add(hostId);
    return null;
  }

  #repoStats(request: Request<'repoStats'>): 'recorded' | Gone {
    const { hostId, totalSizeBytes, snapshotCount, repoStatus } = request;
    const changed = this.#statements.run(
      `UPDATE hosts SET repo_size_bytes = coalesce(?, repo_size_bytes),
         snapshot_count = coalesce(?, snapshot_count), repo_status = coalesce(?, repo_status)
       WHERE host_id = ?`,
      totalSizeBytes ?? null,
      snapshotCount ?? null,
      repoStatus ?? null,
      hostId,
    );
    if (changed === 0) return 'gone';
    this.touched.add(hostId);
    return 'recorded';
  }
}
