import { ALERT_KINDS, ALERT_SEVERITIES, type AlertKind } from '../contract/alert-kinds.ts';
import { SEVERITIES, type Severity } from '../contract/host.ts';
import { JOB_KINDS, type JobKind } from '../contract/jobs.ts';
import type { RosterPage } from './roster.ts';

/** The answer to `GET /api/fleet`. */
export interface FleetJson {
  /** Without pending hosts, like `rm_hosts_total`. */
  readonly hosts: number;
  readonly online: number;
  readonly pending: number;
  /** Open alerts. */
  readonly alerts: {
    readonly by_severity: Readonly<Record<Severity, number>>;
    readonly by_kind: Readonly<Record<AlertKind, number>>;
  };
  /** Jobs whose start was reported and whose finish was not. */
  readonly running: Readonly<Record<JobKind, number>>;
  readonly version: string;
}

export function fleetJson(
  pages: readonly RosterPage[],
  running: ReadonlyMap<string, number>,
  version: string,
): FleetJson {
  let [hosts, online, pending] = [0, 0, 0];
  const byKind = zeros(ALERT_KINDS);
  for (const page of pages) {
    for (let row = 0; row < page.length; row++) {
      if (page.isPending(row)) {
        pending++;
        continue;
      }
      hosts++;
      if (page.isOnline(row)) online++;
      const bits = page.alertBits(row);
      if (bits === 0) continue;
      for (const [index, kind] of ALERT_KINDS.entries()) byKind[kind] += (bits >> index) & 1;
    }
  }
  const bySeverity = zeros(SEVERITIES);
  for (const kind of ALERT_KINDS) bySeverity[ALERT_SEVERITIES[kind]] += byKind[kind];
  const runningByKind = zeros(JOB_KINDS);
  for (const kind of JOB_KINDS) runningByKind[kind] = running.get(kind) ?? 0;
  const alerts = { by_severity: bySeverity, by_kind: byKind };
  return { hosts, online, pending, alerts, running: runningByKind, version };
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
