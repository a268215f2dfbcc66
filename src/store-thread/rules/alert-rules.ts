import type { Severity } from '../../contract/host.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';

export interface AlertRule {
  readonly alert: string;
  readonly severity: Severity;
  readonly opensOn: readonly JobStatus[];
}

/** Which finished job opens which alert; the next success of the same kind resolves it. */
export const JOB_ALERTS: Readonly<Partial<Record<JobKind, AlertRule>>> = {
  backup: { alert: 'backup_failed', severity: 'warning', opensOn: ['failed', 'cancelled'] },
  check: { alert: 'check_failed', severity: 'critical', opensOn: ['failed'] },
  forget: { alert: 'forget_failed', severity: 'warning', opensOn: ['failed'] },
  init: { alert: 'init_failed', severity: 'critical', opensOn: ['failed'] },
  prune: { alert: 'prune_failed', severity: 'critical', opensOn: ['failed'] },
};

export const OFFLINE_ALERT = { alert: 'agent_offline', severity: 'warning' } as const;

/** A host that is away for longer has an alert. */
export const OFFLINE_ALERT_AFTER_MS = 15 * 60 * 1000;
