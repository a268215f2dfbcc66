import { type Alert, type Fleet, type Host, type Job, STATES, type State } from './api.ts';
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

/** Everything that is to be said about a host, the worst first. Never empty. */
export function reasons(host: Host, nowMs: number): Reason[] {
  if (host.state === 'pending') return [{ text: 'Enrolled, but has never connected or reported' }];
  const all = [...backupReasons(host, nowMs), ...offlineReason(host), ...alertReasons(host, nowMs)];
  if (all.length > 0) return all;
  const at = host.last_success_at;
  return [{ text: at === null ? 'No backup yet' : `Backed up ${ago(Date.parse(at), nowMs)}` }];
}

function backupReasons(host: Host, nowMs: number): Reason[] {
  const { last_backup_at: lastAt, last_success_at: successAt } = host;
  if (host.last_backup_success === false && lastAt !== null) {
    const code = host.last_backup_exit_code ?? null;
    const text = `Last backup failed ${ago(Date.parse(lastAt), nowMs)}`;
    const failed = code === null ? text : `${text}, exit code ${code}`;
    const quote = lastLine(host.last_backup_error ?? '');
    return [quote === '' ? { text: failed } : { text: failed, quote }];
  }
  if (host.state === 'never') return [{ text: 'Never backed up' }];
  if (host.state !== 'overdue') return [];
  const interval = host.backup_interval_seconds ?? null;
  const late =
    successAt === null
      ? 'No successful backup yet'
      : `No backup for ${span(nowMs - Date.parse(successAt))}`;
  return [{ text: interval === null ? late : `${late}, planned every ${span(interval * 1000)}` }];
}

function offlineReason(host: Host): Reason[] {
  if (host.status !== 'offline') return [];
  const since = host.offline_since ?? null;
  return [{ text: since === null ? 'Offline' : `Offline since ${moment(Date.parse(since))}` }];
}

/** Alerts that the other reasons do not already tell. */
function alertReasons(host: Host, nowMs: number): Reason[] {
  const told = ['agent_offline', ...(host.last_backup_success === false ? ['backup_failed'] : [])];
  return host.alerts
    .filter(({ kind }) => !told.includes(kind))
    .map((alert) => ({ text: `${alertName(alert)} ${ago(Date.parse(alert.opened_at), nowMs)}` }));
}

const ALERT_NAMES: Readonly<Record<string, string>> = {
  agent_offline: 'Agent offline',
  backup_failed: 'Backup failed',
  backup_incomplete: 'Backup incomplete: some files could not be read',
  check_failed: 'Check failed',
  forget_failed: 'Forget failed',
  init_failed: 'Init failed',
  prune_failed: 'Prune failed',
};

/** The name of an alert. A kind that this version does not know is shown as it is. */
export function alertName({ kind }: Alert): string {
  return ALERT_NAMES[kind] ?? kind;
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

/** `2 backup, 1 check`, the most frequent first; `none` */
export function runningJobs(running: Fleet['running']): string {
  const kinds = Object.entries(running).filter(([, jobs]) => jobs > 0);
  if (kinds.length === 0) return 'none';
  return kinds
    .sort(([, a], [, b]) => b - a)
    .map(([kind, jobs]) => `${number(jobs)} ${kind}`)
    .join(', ');
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
  if (status === 503) return 'The server is busy (503).';
  return `The server answered with an error (${status}).`;
}
