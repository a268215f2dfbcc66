import type { AlertKind } from '../../contract/alert-kinds.ts';
import type { RepoStatus } from '../../contract/host.ts';
import type { SqlScalar, SqlValue, Statement } from '../../contract/statements.ts';
import { orUndefined, timesOf } from '../columns.ts';
import type { Changed } from '../rows.ts';
import type { FinishKind, HostRecord, Times } from '../rules/records.ts';
import type { Session } from './session.ts';
import { storable } from './text.ts';

/** Number of hosts that one statement reads. Reading a whole fleet at once would take too long. */
export const HOSTS_PAGE = 5_000;

const COLUMNS = `host_id, host, status, instance, connection, offline_since, reported_at,
  agent_version, hostname, restic_version, os, arch, boot_time, backup_interval_seconds,
  last_backup_at, last_backup_ok, last_backup_duration_ms, last_backup_success_at,
  last_backup_added_bytes, last_check_success_at, repo_size_bytes, repo_status, snapshot_count,
  alerts, last_finishes`;

type Row = [
  hostId: string,
  host: string,
  status: HostRecord['status'],
  instance: number | null,
  connection: number | null,
  offlineSince: number | null,
  reportedAt: number | null,
  agentVersion: string | null,
  hostname: string | null,
  resticVersion: string | null,
  os: string | null,
  arch: string | null,
  bootTime: number | null,
  backupInterval: number | null,
  lastBackupAt: number | null,
  lastBackupOk: boolean | null,
  lastBackupDuration: number | null,
  lastBackupSuccessAt: number | null,
  lastBackupAddedBytes: number | null,
  lastCheckSuccessAt: number | null,
  repoSizeBytes: number | null,
  repoStatus: RepoStatus,
  snapshotCount: number,
  alerts: string,
  lastFinishes: string,
];

/** The columns that `update` writes, with their types. An object is written as JSON. */
const WRITTEN: readonly (readonly [
  column: string,
  type: string,
  value: (host: HostRecord) => SqlScalar | Times<string> | undefined,
])[] = [
  ['status', 'text', ({ status }) => status],
  ['offline_since', 'bigint', ({ offlineSinceMs }) => offlineSinceMs],
  ['reported_at', 'bigint', ({ reportedAtMs }) => reportedAtMs],
  ['agent_version', 'text', ({ agent }) => storable(agent?.agentVersion)],
  ['hostname', 'text', ({ agent }) => storable(agent?.hostname)],
  ['restic_version', 'text', ({ agent }) => storable(agent?.resticVersion)],
  ['os', 'text', ({ agent }) => storable(agent?.os)],
  ['arch', 'text', ({ agent }) => storable(agent?.arch)],
  ['boot_time', 'bigint', ({ agent }) => agent?.bootTimeMs],
  ['backup_interval_seconds', 'bigint', ({ agent }) => agent?.backupIntervalSeconds],
  ['last_backup_at', 'bigint', ({ lastBackup }) => lastBackup?.finishedAtMs],
  ['last_backup_ok', 'boolean', ({ lastBackup }) => lastBackup?.succeeded],
  ['last_backup_duration_ms', 'bigint', ({ lastBackup }) => lastBackup?.durationMs],
  ['last_backup_success_at', 'bigint', ({ lastBackupSuccessMs }) => lastBackupSuccessMs],
  ['last_backup_added_bytes', 'bigint', ({ lastBackupAddedBytes }) => lastBackupAddedBytes],
  ['last_check_success_at', 'bigint', ({ lastCheckSuccessMs }) => lastCheckSuccessMs],
  ['repo_size_bytes', 'bigint', ({ repoSizeBytes }) => repoSizeBytes],
  ['repo_status', 'text', ({ repoStatus }) => repoStatus],
  ['snapshot_count', 'bigint', ({ snapshotCount }) => snapshotCount],
  ['alerts', 'jsonb', ({ alerts }) => alerts],
  ['last_finishes', 'jsonb', ({ lastFinishes }) => lastFinishes],
];

/** The table `hosts`. Its rows are always locked in the order of their ids, so instances cannot deadlock. */
export class Hosts {
  readonly #session: Session;
  /** Number of this instance; undefined in a process that does not serve. */
  readonly #instance: number | undefined;

  constructor(session: Session, instance: number | undefined) {
    this.#session = session;
    this.#instance = instance;
  }

  /**
   * The statement that locks these hosts and returns their ids and the `xmin` of their rows. A row lock is written to
   * the WAL. So a transaction with repeated reports, which writes nothing else, also waits for the synchronous standby
   * when it commits. Then the standby has what it has read.
   */
  lock(hostIds: readonly string[]): Statement {
    return {
      text: `SELECT host_id, xmin FROM hosts WHERE host_id = ANY ($1::text[]) ORDER BY host_id FOR UPDATE`,
      values: [hostIds],
    };
  }

  /** The statement that locks those of these hosts that no other transaction has locked, and returns their ids. */
  tryLock(hostIds: readonly string[]): Statement {
    return {
      text: `SELECT host_id FROM hosts WHERE host_id = ANY ($1::text[]) ORDER BY host_id
        FOR UPDATE SKIP LOCKED`,
      values: [hostIds],
    };
  }

  /** The statement that returns the ids of those of these hosts that exist. */
  exist(hostIds: readonly string[]): Statement {
    return {
      text: 'SELECT host_id FROM hosts WHERE host_id = ANY ($1::text[])',
      values: [hostIds],
    };
  }

  /** Every host, sorted by its id. */
  *all(): Iterable<HostRecord> {
    for (let after = ''; ; ) {
      const page = this.page(after);
      yield* page;
      if (page.length < HOSTS_PAGE) return;
      after = page.at(-1)?.hostId ?? '';
    }
  }

  /** The next HOSTS_PAGE hosts after that id, sorted by their ids. At the end there are fewer. */
  page(after: string): HostRecord[] {
    const sql = `SELECT ${COLUMNS} FROM hosts WHERE host_id > $1 ORDER BY host_id LIMIT ${HOSTS_PAGE}`;
    return this.#session.rows<Row>(sql, after).map((row) => recordOf(row, this.#instance));
  }

  /** The rows of these hosts, without locks. */
  some(hostIds: readonly string[]): HostRecord[] {
    const sql = `SELECT ${COLUMNS} FROM hosts WHERE host_id = ANY ($1::text[])`;
    return this.#session.rows<Row>(sql, hostIds).map((row) => recordOf(row, this.#instance));
  }

  /**
   * The statement that writes what has changed in these hosts. A column in which no host differs is not
   * written: most batches change a third of the columns.
   * @returns undefined if nothing has changed
   */
  update(hosts: readonly Changed<HostRecord>[]): Statement | undefined {
    const after = hosts.map((host) => host.after);
    const values: SqlValue[] = [after.map(({ hostId }) => hostId)];
    const columns = WRITTEN.filter(([, , value]) => hosts.some((host) => differs(host, value)));
    const movesConnections = hosts.some(
      (host) =>
        differs(host, ({ connection }) => connection) ||
        differs(host, ({ isElsewhere }) => isElsewhere),
    );
    if (movesConnections) {
      values.push(
        this.#instance ?? null,
        after.map(({ connection }) => connection ?? null),
        after.map(({ isElsewhere }) => isElsewhere),
      );
    }
    const first = values.length + 1;
    for (const [, , value] of columns) values.push(after.map((host) => encoded(value(host))));
    const names = columns.map(([column]) => column);
    const types = columns.map(([, type], index) => `$${first + index}::${type}[]`);
    const unnested = ['$1::text[]', ...(movesConnections ? ['$3::bigint[]', '$4::boolean[]'] : [])];
    const aliases = ['host_id', ...(movesConnections ? ['connection', 'is_elsewhere'] : [])];
    const assignments = [
      ...(movesConnections ? CONNECTION : []),
      ...names.map((column) => `${column} = n.${column}`),
    ];
    if (assignments.length === 0) return undefined;
    return {
      text: `UPDATE hosts h SET ${assignments.join(', ')}
        FROM unnest(${[...unnested, ...types].join(', ')}) AS n (${[...aliases, ...names].join(', ')})
        WHERE h.host_id = n.host_id`,
      values,
    };
  }

  add(
    hosts: readonly { readonly hostId: string; readonly host: string }[],
    atMs: number,
  ): Statement {
    return {
      text: `INSERT INTO hosts (host_id, host, enrolled_at)
        SELECT host_id, host, $3::bigint FROM unnest($1::text[], $2::text[]) AS new (host_id, host)`,
      values: [hosts.map(({ hostId }) => hostId), hosts.map(({ host }) => host), atMs],
    };
  }

  /** @returns whether there was such a host */
  remove(hostId: string): boolean {
    // The host first, because this waits for a transaction that is writing jobs of the host.
    const { count } = this.#session.run('DELETE FROM hosts WHERE host_id = $1', hostId);
    if (count > 0) this.#session.run('DELETE FROM jobs WHERE host_id = $1', hostId);
    return count > 0;
  }

  /** @returns whether there is such a host */
  rename(hostId: string, host: string): boolean {
    const sql = 'UPDATE hosts SET host = $2 WHERE host_id = $1';
    return this.#session.run(sql, hostId, host).count > 0;
  }

  /** @returns the host's name; undefined if there is no such host */
  nameOf(hostId: string): string | undefined {
    const sql = 'SELECT host FROM hosts WHERE host_id = $1';
    return this.#session.rows<[string]>(sql, hostId)[0]?.[0];
  }
}

/**
 * A host with a connection to another instance keeps that connection. Only a hello replaces it by a
 * connection to this instance.
 */
const CONNECTION = [
  'instance = CASE WHEN n.is_elsewhere THEN h.instance WHEN n.connection IS NULL THEN NULL ELSE $2::bigint END',
  'connection = CASE WHEN n.is_elsewhere THEN h.connection ELSE n.connection END',
] as const;

function differs(
  { before, after }: Changed<HostRecord>,
  value: (host: HostRecord) => unknown,
): boolean {
  return before === undefined || value(before) !== value(after);
}

function encoded(value: SqlScalar | Times<string> | undefined): SqlScalar {
  if (value === undefined) return null;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return JSON.stringify(value);
}

function recordOf(
  [
    hostId,
    host,
    status,
    instance,
    connection,
    offlineSince,
    reportedAt,
    agentVersion,
    hostname,
    resticVersion,
    os,
    arch,
    bootTime,
    backupInterval,
    backupAt,
    backupOk,
    backupDuration,
    backupSuccessAt,
    addedBytes,
    checkSuccessAt,
    repoSizeBytes,
    repoStatus,
    snapshotCount,
    alerts,
    finishes,
  ]: Row,
  here: number | undefined,
): HostRecord {
  const isHere = instance !== null && instance === here;
  return {
    hostId,
    host,
    status,
    connection: isHere ? orUndefined(connection) : undefined,
    isElsewhere: instance !== null && !isHere,
    offlineSinceMs: orUndefined(offlineSince),
    reportedAtMs: orUndefined(reportedAt),
    agent:
      agentVersion === null || hostname === null
        ? undefined
        : {
            agentVersion,
            hostname,
            resticVersion: orUndefined(resticVersion),
            os: orUndefined(os),
            arch: orUndefined(arch),
            bootTimeMs: orUndefined(bootTime),
            backupIntervalSeconds: orUndefined(backupInterval),
          },
    lastBackup:
      backupAt === null
        ? undefined
        : {
            finishedAtMs: backupAt,
            succeeded: backupOk === true,
            durationMs: orUndefined(backupDuration),
          },
    lastBackupSuccessMs: orUndefined(backupSuccessAt),
    lastBackupAddedBytes: orUndefined(addedBytes),
    lastCheckSuccessMs: orUndefined(checkSuccessAt),
    repoSizeBytes: orUndefined(repoSizeBytes),
    repoStatus,
    snapshotCount,
    alerts: timesOf<AlertKind>(alerts),
    lastFinishes: timesOf<FinishKind>(finishes),
  };
}
