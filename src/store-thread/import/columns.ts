/**
 * The columns that a fleet in SQLite and one in PostgreSQL have in common, with their types in
 * PostgreSQL, and how to read each from SQLite. The first columns are the key of the table.
 */
export interface ImportedTable {
  readonly name: 'hosts' | 'tokens' | 'jobs';
  readonly keys: number;
  readonly columns: readonly (readonly [name: string, type: ColumnType, fromSqlite?: string])[];
  /** The table or query of SQLite that has the rows. */
  readonly source: string;
}

export type ColumnType = 'text' | 'bigint' | 'boolean' | 'bytea' | 'jsonb';

/**
 * No host is connected during an import. As after a restart, a host is offline from now on, unless it is
 * online because of messages over HTTP.
 */
const IS_CUT_OFF = "h.status = 'online' AND h.reported_at IS NULL";

/** @param nowMs Unix time in milliseconds */
export function importedTables(nowMs: number): readonly ImportedTable[] {
  return [
    {
      name: 'hosts',
      keys: 1,
      source: 'hosts h',
      columns: [
        ['host_id', 'text'],
        ['host', 'text'],
        ['enrolled_at', 'bigint'],
        ['status', 'text', `CASE WHEN ${IS_CUT_OFF} THEN 'offline' ELSE h.status END`],
        [
          'offline_since',
          'bigint',
          `CASE WHEN ${IS_CUT_OFF} THEN ${nowMs} ELSE h.offline_since END`,
        ],
        ['reported_at', 'bigint'],
        ['agent_version', 'text'],
        ['hostname', 'text'],
        ['restic_version', 'text'],
        ['os', 'text'],
        ['arch', 'text'],
        ['boot_time', 'bigint'],
        ['backup_interval_seconds', 'bigint'],
        ['last_backup_at', 'bigint'],
        ['last_backup_ok', 'boolean'],
        ['last_backup_duration_ms', 'bigint'],
        ['last_backup_success_at', 'bigint'],
        ['last_backup_added_bytes', 'bigint'],
        ['last_check_success_at', 'bigint'],
        ['repo_size_bytes', 'bigint'],
        ['repo_status', 'text'],
        ['snapshot_count', 'bigint'],
        [
          'alerts',
          'jsonb',
          '(SELECT json_group_object(kind, opened_at) FROM alerts a WHERE a.host_id = h.host_id)',
        ],
        [
          'last_finishes',
          'jsonb',
          '(SELECT json_group_object(kind, finished_at) FROM last_finishes f WHERE f.host_id = h.host_id)',
        ],
      ],
    },
    {
      name: 'tokens',
      keys: 1,
      source: 'hosts',
      columns: [
        ['host_id', 'text'],
        ['token_digest', 'bytea'],
      ],
    },
    {
      name: 'jobs',
      keys: 2,
      source: 'jobs',
      columns: [
        ['host_id', 'text'],
        ['job_id', 'text'],
        ['kind', 'text'],
        ['started_at', 'bigint'],
        ['status', 'text'],
        ['finished_at', 'bigint'],
        ['exit_code', 'bigint'],
        ['error', 'text'],
        ['bytes_added', 'bigint'],
        ['files_unreadable', 'bigint'],
        ['snapshot_id', 'text'],
        ['recorded_at', 'bigint'],
      ],
    },
  ];
}
