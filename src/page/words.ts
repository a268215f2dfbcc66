import {
  type AlertKind,
  type Fleet,
  type Host,
  type HostDetails,
  type Job,
  STATES,
  type State,
} from './model.ts';
import { ago, count, moment, number, span } from './units.ts';

/*
 * What is wrong, in words. These functions are pure. Texts of agents are never inside of a sentence:
 * they are in `quote`, so that the page can isolate them.
 */

/** One thing to know about a host. */
export interface Reason {
  readonly text: string;
  /** What restic wrote, in one line. */
  readonly quote?: string;
}

/** States that need somebody to act. */
export const BAD_STATES: readonly State[] = ['failed', 'never', 'overdue', 'offline', 'alerts'];

/** The names of the states, as the filters show them. */
export const STATE_NAMES: Readonly<Record<State, string>> = {
  failed: 'Failed',
  never: 'Never backed up',
  overdue: 'Overdue',
  offline: 'Offline',
  alerts: 'Alerts',
  ok: 'OK',
  pending: 'Pending',
};

/** The names of the states in a row, where there is little room. */
export const STATE_LABELS: Readonly<Record<State, string>> = { ...STATE_NAMES, never: 'Never' };

/** What only the details of a host tell about its state. */
export interface Cause {
  /** The last backup, if it did not succeed. */
  readonly backup?: Pick<Job, 'status' | 'exit_code' | 'error'> | undefined;
  /** When the alert was opened that the host is offline. */
  readonly offlineAlertAt?: string | undefined;
}

export function causeIn({ alerts, jobs }: HostDetails): Cause {
  return {
    backup: jobs.find(({ kind, status }) => kind === 'backup' && BAD_RESULTS.includes(status)),
    offlineAlertAt: alerts.find(({ kind }) => kind === 'agent_offline')?.opened_at,
  };
}

const BAD_RESULTS: readonly string[] = ['failed', 'cancelled'];

/**
 * Everything that is to be said about a host, the worst first. Never empty.
 * @param cause what is known of it
 */
export function reasons(host: Host | HostDetails, nowMs: number, cause: Cause = {}): Reason[] {
  if (host.state === 'pending') return [{ text: 'Enrolled, but has never connected or reported' }];
  const all = [
    ...backupReasons(host, nowMs, cause),
    ...offlineReasons(host, nowMs, cause),
    ...alertReasons(host),
  ];
  if (all.length > 0) return all;
  const at = host.last_success_at;
  return [{ text: at === null ? 'No backup yet' : `Backed up ${ago(Date.parse(at), nowMs)}` }];
}

function backupReasons(host: Host | HostDetails, nowMs: number, { backup }: Cause): Reason[] {
  const { last_backup_at: lastAt, last_success_at: successAt } = host;
  if (host.last_backup_success === false && lastAt !== null) {
    const result = backup?.status === 'cancelled' ? 'was cancelled' : 'failed';
    const code = backup?.exit_code ?? null;
    const when = `Last backup ${result} ${ago(Date.parse(lastAt), nowMs)}`;
    const text = code === null ? when : `${when}, exit code ${code}`;
    const quote = lastLine(backup?.error ?? '');
    return [quote === '' ? { text } : { text, quote }];
  }
  if (host.state === 'never') return [{ text: 'Never backed up' }];
  if (host.state !== 'overdue') return [];
  const interval = host.backup_interval_seconds;
  const late =
    successAt === null
      ? 'No successful backup yet'
      : `No backup for ${span(nowMs - Date.parse(successAt))}`;
  return [{ text: interval === null ? late : `${late}, planned every ${span(interval * 1000)}` }];
}

function offlineReasons(
  { status }: Host | HostDetails,
  nowMs: number,
  { offlineAlertAt: at }: Cause,
): Reason[] {
  if (status !== 'offline') return [];
  return [
    {
      text: at === undefined ? 'Offline' : `Offline, alert since ${moment(Date.parse(at), nowMs)}`,
    },
  ];
}

/** Alerts that the other reasons do not already tell. The details of a host have a list of them anyway. */
function alertReasons({ alerts, last_backup_success: succeeded }: Host | HostDetails): Reason[] {
  const told = ['agent_offline', ...(succeeded === false ? ['backup_failed'] : [])];
  return alerts
    .map((alert) => (typeof alert === 'string' ? alert : alert.kind))
    .filter((kind) => !told.includes(kind))
    .map((kind) => ({ text: alertName(kind) }));
}

const ALERT_NAMES: Readonly<Record<AlertKind, string>> = {
  agent_offline: 'Agent offline',
  backup_failed: 'Backup failed',
  backup_incomplete: 'Backup incomplete: some files could not be read',
  check_failed: 'Check failed',
  forget_failed: 'Forget failed',
  init_failed: 'Init failed',
  prune_failed: 'Prune failed',
};

export function alertName(kind: AlertKind): string {
  return ALERT_NAMES[kind];
}

/** `Failed, exit code 1`, `Succeeded, 3 files unreadable`, `Running` */
export function jobResult({ status, exit_code: code, files_unreadable: unreadable }: Job): string {
  const words = [status.charAt(0).toUpperCase() + status.slice(1)];
  if (code !== null && code !== 0) words.push(`exit code ${code}`);
  if (unreadable !== null && unreadable > 0) words.push(`${count(unreadable, 'file')} unreadable`);
  return words.join(', ');
}

/** The last line that is not empty: restic writes what ended it last. */
export function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim() ?? '';
}

/** The most important sentence of the page. */
export function headline({ states }: Fleet): string {
  const all = STATES.reduce((sum, state) => sum + states[state], 0);
  const bad = needingAttention(states);
  if (all === 0) return 'No hosts are enrolled yet';
  if (all === states.pending) return `${count(all, 'host')} enrolled, none has reported yet`;
  const known = all - states.pending;
  if (bad > 0)
    return `${number(bad)} of ${count(known, 'host')} need${bad === 1 ? 's' : ''} attention`;
  return known === 1 ? 'The only host is fine' : `All ${count(known, 'host')} are fine`;
}

export function needingAttention(states: Fleet['states']): number {
  return BAD_STATES.reduce((sum, state) => sum + states[state], 0);
}

/** So many kinds of running jobs are named. */
const NAMED_KINDS = 2;

/** `7: 4 backup, 2 check, 1 other`, the most frequent first; `none`; `unknown` while the server cannot read them */
export function runningJobs(running: Readonly<Record<string, number>> | null): string {
  if (running === null) return 'unknown';
  const kinds = Object.entries(running)
    .filter(([, jobs]) => jobs > 0)
    .sort(([, a], [, b]) => b - a);
  const total = sum(kinds);
  if (total === 0) return 'none';
  const words = kinds.slice(0, NAMED_KINDS).map(([kind, jobs]) => `${number(jobs)} ${kind}`);
  const others = sum(kinds.slice(NAMED_KINDS));
  if (others > 0) words.push(`${number(others)} other`);
  return kinds.length === 1 ? words.join() : `${number(total)}: ${words.join(', ')}`;
}

function sum(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((total, [, value]) => total + value, 0);
}

/** `1 critical, 4 warnings`, the worst first; `none` */
export function openAlerts({ by_severity: by }: Fleet['alerts']): string {
  const words = [
    by.critical > 0 ? `${number(by.critical)} critical` : '',
    by.warning > 0 ? count(by.warning, 'warning') : '',
    by.info > 0 ? `${number(by.info)} info` : '',
  ];
  return words.filter((word) => word !== '').join(', ') || 'none';
}

const WORSE: readonly (readonly [State, string])[] = [
  ['failed', 'whose last backup failed'],
  ['overdue', 'overdue'],
  ['offline', 'offline'],
];

/**
 * What a screen reader should say about a change: more hosts in a bad state, or the last problem is
 * gone. Empty if nothing important changed.
 */
export function announcement(before: Fleet['states'], after: Fleet['states']): string {
  const worse = WORSE.filter(([state]) => after[state] > before[state]).map(
    ([state, words]) => `${count(after[state] - before[state], 'more host')} ${words}.`,
  );
  if (worse.length > 0) return worse.join(' ');
  const isOver = needingAttention(before) > 0 && needingAttention(after) === 0;
  return isOver ? 'No host needs attention any more.' : '';
}

/** Why there is no new data, in a sentence. `status` is 0 if the server could not be reached. */
export function failure(status: number): string {
  if (status === 0) return 'The server does not answer.';
  if (status === 403) return 'A proxy refused the request (403).';
  if (status === 404)
    return 'The address /api is not available here (404). Check the reverse proxy.';
  if (status === 503) return 'The server cannot answer now (503).';
  return `The server answered with an error (${status}).`;
}
