/**
 * The migrations of the schema: entry n brings version n to version n + 1 (`PRAGMA user_version`). New
 * entries may be appended. Existing ones must not be changed. Times are Unix milliseconds.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE hosts (
    host_id          TEXT PRIMARY KEY,
    host             TEXT NOT NULL,
    token_digest     BLOB NOT NULL UNIQUE,
    enrolled_at      INTEGER NOT NULL,
    -- pending: enrolled, never connected. Who is online is only true while a control plane runs.
    status           TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'offline', 'online')),
    connection       INTEGER,
    offline_since    INTEGER,
    agent_version    TEXT,
    hostname         TEXT,
    restic_version   TEXT,
    os               TEXT,
    arch             TEXT,
    boot_time        INTEGER,
    last_backup_at   INTEGER,
    last_backup_ok   INTEGER,
    repo_size_bytes  INTEGER,
    repo_status      TEXT NOT NULL DEFAULT 'unknown'
                     CHECK (repo_status IN ('unknown', 'ready', 'init_failed')),
    snapshot_count   INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX hosts_offline ON hosts (offline_since) WHERE status = 'offline';

  -- Agents choose the job ids, so an id is unique only within its host.
  CREATE TABLE jobs (
    host_id      TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
    job_id       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    status       TEXT,                -- NULL: not finished
    finished_at  INTEGER,
    exit_code    INTEGER,
    error        TEXT,
    recorded_at  INTEGER NOT NULL,    -- by this machine's clock, for pruning
    PRIMARY KEY (host_id, job_id)
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX jobs_finished ON jobs (host_id, kind, finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX jobs_recorded ON jobs (recorded_at);

  -- Only open alerts, at most one per host and kind. Resolving an alert deletes its row.
  CREATE TABLE alerts (
    host_id    TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    severity   TEXT NOT NULL CHECK (severity IN ('critical', 'info', 'warning')),
    opened_at  INTEGER NOT NULL,
    PRIMARY KEY (host_id, kind)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Since this version the offline time of a host is measured in memory, by the monotonic clock.
  DROP INDEX hosts_offline;

  -- Indexes to find the oldest jobs of a host, and the jobs of all hosts that are old enough to be deleted.
  DROP INDEX jobs_recorded;
  CREATE INDEX jobs_by_age ON jobs (host_id, recorded_at);
  CREATE INDEX jobs_unfinished ON jobs (host_id, recorded_at) WHERE status IS NULL;

  -- Changes by the commands. The running control plane reads new rows and deletes them.
  CREATE TABLE host_changes (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    host_id  TEXT NOT NULL,
    change   TEXT NOT NULL CHECK (change IN ('added', 'removed', 'token', 'renamed'))
  ) STRICT;

  -- One row: the last saved time of the clock by which jobs are deleted.
  CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
  `,
  `
  -- The new table is in the order of the reports, so that new jobs are written next to each other. With
  -- host_id first, a batch wrote to as many pages as it has hosts, in each index.
  ALTER TABLE jobs RENAME TO old_jobs;
  CREATE TABLE jobs (
    seq          INTEGER PRIMARY KEY,
    host_id      TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
    job_id       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    status       TEXT,                -- NULL: not finished
    finished_at  INTEGER,
    exit_code    INTEGER,
    error        TEXT,
    recorded_at  INTEGER NOT NULL,    -- by this machine's clock, for pruning
    UNIQUE (host_id, job_id)
  ) STRICT;
  INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, exit_code, error, recorded_at)
    SELECT host_id, job_id, kind, started_at, status, finished_at, exit_code, error, recorded_at
    FROM old_jobs ORDER BY recorded_at;

  -- Times of the last finish of each kind of job that alerts depend on. For backups, hosts has the time.
  CREATE TABLE last_finishes (
    host_id      TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
    kind         TEXT NOT NULL,
    finished_at  INTEGER NOT NULL,
    PRIMARY KEY (host_id, kind)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO last_finishes
    SELECT host_id, kind, max(finished_at) FROM old_jobs
    WHERE status IN ('succeeded', 'failed') AND kind IN ('check', 'forget', 'init', 'prune')
    GROUP BY host_id, kind;

  DROP TABLE old_jobs;
  CREATE INDEX jobs_recorded ON jobs (recorded_at);
  CREATE INDEX jobs_unfinished ON jobs (host_id) WHERE status IS NULL;
  `,
  `
  ALTER TABLE hosts ADD COLUMN backup_interval_seconds INTEGER;
  ALTER TABLE hosts ADD COLUMN last_backup_duration_ms INTEGER;
  ALTER TABLE hosts ADD COLUMN last_backup_success_at INTEGER;
  ALTER TABLE hosts ADD COLUMN last_backup_added_bytes INTEGER;
  ALTER TABLE hosts ADD COLUMN last_check_success_at INTEGER;

  -- The summary that restic prints at the end of a backup.
  ALTER TABLE jobs ADD COLUMN bytes_added INTEGER;
  ALTER TABLE jobs ADD COLUMN files_unreadable INTEGER;
  ALTER TABLE jobs ADD COLUMN snapshot_id TEXT;

  UPDATE hosts SET
    last_backup_duration_ms = (SELECT max(j.finished_at - j.started_at, 0) FROM jobs j
      WHERE j.host_id = hosts.host_id AND j.kind = 'backup' AND j.finished_at = hosts.last_backup_at LIMIT 1),
    last_backup_success_at = (SELECT max(finished_at) FROM jobs j
      WHERE j.host_id = hosts.host_id AND j.kind = 'backup' AND j.status = 'succeeded'),
    last_check_success_at = (SELECT max(finished_at) FROM jobs j
      WHERE j.host_id = hosts.host_id AND j.kind = 'check' AND j.status = 'succeeded');
  -- For hosts whose last successful backup has no row in jobs any more.
  UPDATE hosts SET last_backup_success_at = last_backup_at
  WHERE last_backup_ok = 1 AND (last_backup_success_at IS NULL OR last_backup_success_at < last_backup_at);
  `,
  `
  -- When a host without a connection last sent messages by HTTP. It is online for some time from then on.
  ALTER TABLE hosts ADD COLUMN reported_at INTEGER;
  `,
];
