import type { DatabaseSync } from 'node:sqlite';
import type { Host } from '../../contract/host.ts';
import {
  type Answer,
  type EnrolledHost,
  type Gone,
  type ListedHost,
  type OperationName,
  orderOf,
  type Request,
} from '../../contract/operations.ts';
import type { Changes } from '../changes.ts';
import { OFFLINE_ALERT } from '../rules/alert-rules.ts';
import { Alerts } from './alerts.ts';
import { Enrolment } from './enrolment.ts';
import { listedHosts, shownHost, shownHosts } from './host-rows.ts';
import { Jobs } from './jobs.ts';
import { Statements } from './statements.ts';

type Handlers = {
  readonly [N in OperationName]: (request: Request<N>, changes: Changes) => Answer<N>;
};

export interface FleetDatabaseOptions {
  /** Whether another process may be serving, which has to learn of changed hosts. */
  readonly tellsServer: boolean;
  /** Whether a control plane is running: without one nobody is online, whatever one that was killed left behind. */
  readonly isServed: () => boolean;
  readonly onForgottenJobs: (jobs: number) => void;
}

/** The fleet in SQLite: what each operation does, to be run inside a transaction. */
export class FleetDatabase {
  readonly handlers: Handlers;
  readonly enrolment: Enrolment;
  readonly jobs: Jobs;
  readonly #statements: Statements;
  readonly #alerts: Alerts;

  constructor(db: DatabaseSync, { tellsServer, isServed, onForgottenJobs }: FleetDatabaseOptions) {
    this.#statements = new Statements(db);
    this.enrolment = new Enrolment(this.#statements, tellsServer);
    this.#alerts = new Alerts(this.#statements);
    this.jobs = new Jobs(this.#statements, this.#alerts, onForgottenJobs);
    const { enrolment, jobs } = this;
    this.handlers = {
      addHosts: ({ hosts }, changes) => enrolment.add(hosts, changes),
      removeHost: ({ hostId }, changes) => {
        jobs.forgetHost(hostId);
        return enrolment.remove(hostId, changes);
      },
      replaceToken: ({ hostId }, changes) => enrolment.replaceToken(hostId, changes),
      renameHost: ({ hostId, host }, changes) => enrolment.rename(hostId, host, changes),
      listHosts: () => {
        const hosts = listedHosts(this.#statements);
        return isServed() ? hosts : hosts.map(asOffline);
      },
      isFollowed: () => !isServed() || enrolment.changesSince(0).length === 0,
      authenticate: ({ tokenDigest }) => enrolment.hostOfToken(tokenDigest),
      hello: (request, changes) => this.#hello(request, changes),
      goodbye: ({ hostId, connection }, changes) => {
        changes.appearances.push({ hostId, connection, online: false });
        this.writeGoodbye(hostId, connection, Date.now());
        return null;
      },
      startJob: (start) => (enrolment.has(start.hostId) ? jobs.start(start) : 'gone'),
      finishJob: (finish, changes) =>
        enrolment.has(finish.hostId) ? jobs.finish(finish, changes) : 'gone',
      repoStats: (request, changes) => this.#repoStats(request, changes),
    };
  }

  /**
   * At the start nobody is connected.
   * @returns the hosts that are offline and have no alert for it yet: the time in which no control plane ran must
   *   not count towards one
   */
  forgetConnections(): string[] {
    this.#statements.run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE status <> 'pending'
         AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.host_id = hosts.host_id AND a.kind = ?)`,
      Date.now(),
      OFFLINE_ALERT.alert,
    );
    const rows = this.#statements.all<[hostId: string]>(
      `SELECT host_id FROM hosts
       WHERE status = 'offline'
         AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.host_id = hosts.host_id AND a.kind = ?)`,
      OFFLINE_ALERT.alert,
    );
    return rows.map(([hostId]) => hostId);
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
  enrolled(): EnrolledHost[] {
    return this.#statements.all('SELECT host_id, token_digest FROM hosts');
  }

  /** What was saved by `saveClock`. */
  clock(): number | undefined {
    return this.#statements.get<[number]>('SELECT at FROM clock')?.[0];
  }

  saveClock(at: number): void {
    this.#statements.run('INSERT OR REPLACE INTO clock (one, at) VALUES (1, ?)', at);
  }

  alertOffline(hostIds: readonly string[], changes: Changes): void {
    this.#alerts.openOffline(hostIds, changes);
  }

  /** Nothing if the host has a newer connection. */
  writeGoodbye(hostId: string, connection: number, atMs: number): void {
    this.#statements.run(
      `UPDATE hosts SET status = 'offline', connection = NULL, offline_since = ?
       WHERE host_id = ? AND connection = ?`,
      atMs,
      hostId,
      connection,
    );
  }

  #hello(request: Request<'hello'>, changes: Changes): { host: string } | Gone {
    const { hostId, connection, agent } = request;
    const newest = this.#statements.get<[number | null, string]>(
      'SELECT connection, host FROM hosts WHERE host_id = ?',
      hostId,
    );
    // Its hello was overtaken by that of a newer connection, in another loop. It will be told so.
    if (newest && orderOf(newest[0] ?? 0) > orderOf(connection)) {
      changes.appearances.push({ hostId, connection, online: true });
      return { host: newest[1] };
    }
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
    this.#alerts.resolve(hostId, OFFLINE_ALERT.alert, changes);
    changes.appearances.push({ hostId, connection, online: true });
    changes.rows.add(hostId);
    return { host: row[0] };
  }

  #repoStats(request: Request<'repoStats'>, changes: Changes): 'recorded' | Gone {
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
    changes.rows.add(hostId);
    return 'recorded';
  }
}

function asOffline(host: ListedHost): ListedHost {
  return host.status === 'online' ? { ...host, status: 'offline' } : host;
}
