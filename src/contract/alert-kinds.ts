import type { Severity } from './host.ts';

/** The severity of each kind of alert, sorted by kind. A host has at most one open alert of a kind. */
export const ALERT_SEVERITIES = {
  agent_offline: 'warning',
  backup_failed: 'warning',
  backup_incomplete: 'info',
  check_failed: 'critical',
  forget_failed: 'warning',
  init_failed: 'critical',
  prune_failed: 'critical',
} as const satisfies Readonly<Record<string, Severity>>;

export type AlertKind = keyof typeof ALERT_SEVERITIES;

/** Sorted. */
export const ALERT_KINDS = Object.keys(ALERT_SEVERITIES) as readonly AlertKind[];
