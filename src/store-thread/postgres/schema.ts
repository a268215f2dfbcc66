import { RmError } from '../../errors.ts';
import type { Missing } from '../engine.ts';
import type { Session } from './session.ts';

/** PostgreSQL 13 is the first with `xid8` and `pg_current_xact_id()`. */
const MIN_SERVER_VERSION = 13;
/** Identifies the lock that an instance holds while it migrates. An arbitrary number that other programs do not use. */
const MIGRATION_LOCK = 0x726d_5f64;
/** How long an instance waits for the migration of another one, and how long its own may take. */
const MIGRATION_LIMIT_MS = 60_000;

/**
 * The migrations of the schema: entry n brings version n to version n + 1 (table `schema_version`). New
 * entries may be appended. Existing ones must not be changed. Times are Unix milliseconds.
 */
const MIGRATIONS: readonly string[] = [
  `
  -- One row contains everything that a scrape shows of a host. So a batch locks, reads and writes one row
  -- per host. A statement that waits for the lock of a row returns the newest state of this row.
  CREATE TABLE hosts (
    host_id                  text COLLATE "C" PRIMARY KEY,
    host                     text NOT NULL,
    enrolled_at              bigint NOT NULL,
    status                   text NOT NULL DEFAULT 'pending'
                             CHECK (status IN ('pending', 'offline', 'online')),
    -- The connection of the host: its instance, and its number in this instance.
    instance                 bigint,
    connection               bigint,
    offline_since            bigint,
    reported_at              bigint,
    agent_version            text,
    hostname                 text,
    restic_version           text,
    os                       text,
    arch                     text,
    boot_time                bigint,
    backup_interval_seconds  bigint,
    last_backup_at           bigint,
    last_backup_ok           boolean,
    last_backup_duration_ms  bigint,
    last_backup_success_at   bigint,
    last_backup_added_bytes  bigint,
    last_check_success_at    bigint,
    repo_size_bytes          bigint,
    repo_status              text NOT NULL DEFAULT 'unknown'
                             CHECK (repo_status IN ('unknown', 'ready', 'init_failed')),
    snapshot_count           bigint NOT NULL DEFAULT 0,
    -- {kind: time}: when the open alerts were opened; last finishes that are compared with later ones.
    alerts                   jsonb NOT NULL DEFAULT '{}',
    last_finishes            jsonb NOT NULL DEFAULT '{}',
    -- Not used any more. Without these columns, instances of an older version that still run would fail.
    jobs                     integer NOT NULL DEFAULT 0,
    jobs_unfinished          integer NOT NULL DEFAULT 0
  -- No column that changes has an index, and the pages have room for new versions of their rows. So most
  -- updates write no index (heap-only tuples).
  ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

  -- The hosts that each transaction changed, for the other instances. Rows are kept for some minutes.
  CREATE TABLE host_changes (
    changed   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- The instance that has published the change.
    instance  bigint,
    host_ids  text[] NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
  );
  ALTER TABLE host_changes ALTER host_ids SET STORAGE EXTERNAL;
  CREATE INDEX host_changes_changed ON host_changes (changed);
  CREATE INDEX host_changes_at ON host_changes (at);

  -- A separate table, because it rarely changes. A removed host keeps its row for a day, without a token,
  -- so that every instance reads the removal.
  CREATE TABLE tokens (
    host_id       text COLLATE "C" PRIMARY KEY,
    token_digest  bytea UNIQUE,
    removed_at    bigint,
    changed       xid8 NOT NULL DEFAULT pg_current_xact_id()
  );
  CREATE INDEX tokens_changed ON tokens (changed);
  CREATE INDEX tokens_removed ON tokens (removed_at) WHERE removed_at IS NOT NULL;

  -- Agents choose the job ids, so an id is unique only within its host. A foreign key to hosts
  -- would look up the host of each new job. It is not needed: a writer of a job holds the lock of its host.
  CREATE TABLE jobs (
    host_id           text COLLATE "C" NOT NULL,
    job_id            text COLLATE "C" NOT NULL,
    kind              text NOT NULL,
    started_at        bigint NOT NULL,
    status            text,                -- NULL: not finished
    finished_at       bigint,
    exit_code         bigint,
    error             text,
    bytes_added       bigint,
    files_unreadable  bigint,
    snapshot_id       text,
    recorded_at       bigint NOT NULL,     -- by the clock of the database, for pruning
    instance          bigint,              -- its histogram contains the job, if it has finished
    PRIMARY KEY (host_id, job_id)
  );
  CREATE INDEX jobs_recorded ON jobs (recorded_at);

  -- The processes that serve this database. Each updates its row every 10 s.
  CREATE TABLE instances (
    instance    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The part of the hosts that it shows, and the number of parts.
    shard       integer NOT NULL,
    shards      integer NOT NULL,
    -- Its hosts have been marked offline, because it has given no sign for too long.
    is_gone     boolean NOT NULL DEFAULT false
  );

  -- One row: the last saved time of the clock by which jobs are deleted.
  CREATE TABLE clock (one integer PRIMARY KEY CHECK (one = 1), at bigint NOT NULL);
  `,
  `
  -- To count the running jobs. A finish writes nothing into it.
  CREATE INDEX jobs_running ON jobs (kind) WHERE status IS NULL;
  `,
];

/**
 * Creates the tables, or migrates them to the version of this program. Instances that start at the same
 * time wait for each other.
 * @returns whether this process has created the tables
 * @throws RmError `no_database`, `database_too_new`, `database_too_old`, `database_failed`
 */
export function migrate(session: Session, place: string, missing: Missing): boolean {
  checkServer(session, place);
  const found = schemaVersion(session);
  // Must not write to a database that is up to date, because reading must work on a full disk.
  if (found === MIGRATIONS.length) return false;
  if (found === 0 && missing === 'must_exist') {
    throw new RmError(
      'no_database',
      `${place}: no fleet in this database; give --config or RM_DATABASE_URL (hosts add and serve create one)`,
    );
  }
  return session.transaction(() => {
    session.run(`SET LOCAL statement_timeout = ${MIGRATION_LIMIT_MS}`);
    session.run('SELECT pg_advisory_xact_lock($1::bigint)', MIGRATION_LOCK);
    session.run('CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)');
    const version = schemaVersion(session);
    if (version > MIGRATIONS.length) {
      throw new RmError(
        'database_too_new',
        `${place}: has schema version ${version}, but this restic-manager supports only up to ${MIGRATIONS.length}; run a newer restic-manager`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) session.run(migration);
    session.run('DELETE FROM schema_version');
    session.run('INSERT INTO schema_version VALUES ($1::integer)', MIGRATIONS.length);
    return version === 0;
  }, MIGRATION_LIMIT_MS);
}

function checkServer(session: Session, place: string): void {
  const [[version, encoding] = [0, '']] = session.rows<[number, string]>(
    "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_encoding')",
  );
  if (version < MIN_SERVER_VERSION) {
    throw new RmError(
      'database_too_old',
      `${place}: is PostgreSQL ${version}; version ${MIN_SERVER_VERSION} or later is required`,
    );
  }
  if (encoding !== 'UTF8') {
    throw new RmError(
      'database_failed',
      `${place}: has the encoding ${encoding}; create the database with ENCODING 'UTF8'`,
    );
  }
}

function schemaVersion(session: Session): number {
  return session.reading(() => {
    const [[exists] = [false]] = session.rows<[boolean]>(
      "SELECT to_regclass('schema_version') IS NOT NULL",
    );
    if (!exists) return 0;
    return session.rows<[number]>('SELECT version FROM schema_version')[0]?.[0] ?? 0;
  });
}
