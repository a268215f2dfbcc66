import type { AlertKind } from '../../contract/alert-kinds.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { HostRecord } from './records.ts';

export interface JobAlert {
  readonly alert: AlertKind;
  readonly opensOn: readonly JobStatus[];
}

/** The alert that a finished job of a kind opens. The next success of that kind resolves it. */
export const JOB_ALERTS: Readonly<Partial<Record<JobKind, JobAlert>>> = {
  backup: { alert: 'backup_failed', opensOn: ['failed', 'cancelled'] },
  check: { alert: 'check_failed', opensOn: ['failed'] },
  forget: { alert: 'forget_failed', opensOn: ['failed'] },
  init: { alert: 'init_failed', opensOn: ['failed'] },
  prune: { alert: 'prune_failed', opensOn: ['failed'] },
};

/** How long a host may be offline before the alert `agent_offline` opens. */
export const OFFLINE_ALERT_AFTER_MS = 15 * 60 * 1_000;

/** Opens the alert. One that is already open keeps its time. */
export function openAlert(host: HostRecord, alert: AlertKind, atMs: number): HostRecord {
  if (host.alerts[alert] !== undefined) return host;
  return { ...host, alerts: { ...host.alerts, [alert]: atMs } };
}

export function resolveAlert(host: HostRecord, alert: AlertKind): HostRecord {
  if (host.alerts[alert] === undefined) return host;
  const { [alert]: _, ...alerts } = host.alerts;
  return { ...host, alerts };
}

/** Opens the alert if `isOpen`, and resolves it otherwise. */
export function setAlert(
  host: HostRecord,
  alert: AlertKind,
  isOpen: boolean,
  atMs: number,
): HostRecord {
  return isOpen ? openAlert(host, alert, atMs) : resolveAlert(host, alert);
}
