/**
 * The states of a host, the worst first. A host has the first state whose condition is true:
 *
 * - `failed`: the last backup did not succeed (`rm_host_last_backup_success` is 0)
 * - `never`: the host has connected or reported, but no backup has finished (no row of that family)
 * - `overdue`: the last successful backup is older than the host's interval plus a tenth, or than 26
 *   hours if the interval is unknown
 * - `offline`: `rm_host_agent_online` is 0
 * - `alerts`: an alert is open (`rm_host_open_alerts` is above 0)
 * - `ok`: none of these
 * - `pending`: enrolled, never connected or reported. It comes last, because nothing has gone wrong yet.
 */
export const HOST_STATES = [
  'failed',
  'never',
  'overdue',
  'offline',
  'alerts',
  'ok',
  'pending',
] as const;
export type HostState = (typeof HOST_STATES)[number];

/** Index in {@link HOST_STATES}: 0 is the worst. */
export type StateRank = number;

/** How old the last success may be, as a multiple of the backup interval. */
const OVERDUE_INTERVALS = 1.1;
const OVERDUE_WITHOUT_INTERVAL_MS = 26 * 60 * 60 * 1_000;

/** What the state of a host depends on. Times are Unix milliseconds. */
export interface StateFacts {
  readonly isPending: boolean;
  readonly isOnline: boolean;
  readonly hasBackup: boolean;
  readonly lastBackupSucceeded: boolean;
  /** NaN if there was none. */
  readonly lastSuccessMs: number;
  /** NaN if it is unknown. */
  readonly backupIntervalSeconds: number;
  readonly hasAlerts: boolean;
}

/** Returns the rank of the state of a host, see {@link HOST_STATES}. */
export function stateRank(facts: StateFacts, nowMs: number): StateRank {
  if (facts.isPending) return 6;
  if (!facts.hasBackup) return 1;
  if (!facts.lastBackupSucceeded) return 0;
  if (nowMs > overdueAfterMs(facts)) return 2;
  if (!facts.isOnline) return 3;
  return facts.hasAlerts ? 4 : 5;
}

/** The time after which the last success is too old; NaN if there was none. */
export function overdueAfterMs({
  lastSuccessMs,
  backupIntervalSeconds,
}: Pick<StateFacts, 'lastSuccessMs' | 'backupIntervalSeconds'>): number {
  const allowedMs = Number.isNaN(backupIntervalSeconds)
    ? OVERDUE_WITHOUT_INTERVAL_MS
    : backupIntervalSeconds * 1_000 * OVERDUE_INTERVALS;
  return lastSuccessMs + allowedMs;
}

export function isHostState(value: string): value is HostState {
  return (HOST_STATES as readonly string[]).includes(value);
}
