import type { AlertKind } from '../contract/alert-kinds.ts';
import type { FleetJson } from '../contract/fleet-summary.ts';
import type { HostDetailsJson, HostSummaryJson, JobJson } from '../contract/host-details.ts';
import type { HostState } from '../contract/host-state.ts';

/* What the API answers, under the names that the page uses. Times are RFC 3339. */

/** The worst first. */
export const STATES = ['failed', 'never', 'overdue', 'offline', 'alerts', 'ok', 'pending'] as const;
export type State = HostState;

export type Fleet = FleetJson;
export type Host = HostSummaryJson;
export type HostDetails = HostDetailsJson;
export type Alert = HostDetailsJson['alerts'][number];
export type Job = JobJson;
export type { AlertKind };

export interface HostPage {
  readonly hosts: readonly Host[];
  readonly next: string | null;
}

/** Which hosts to list. No states means all. */
export interface Filter {
  readonly states: readonly State[];
  readonly search: string;
}
