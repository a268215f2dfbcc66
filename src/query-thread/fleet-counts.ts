import { ALERT_KINDS, ALERT_SEVERITIES } from '../contract/alert-kinds.ts';
import type { FleetJson } from '../contract/fleet-summary.ts';
import { SEVERITIES } from '../contract/host.ts';
import { HOST_STATES } from '../contract/host-state.ts';
import {
  BUCKET_COUNT,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  seriesIndex,
} from '../contract/jobs.ts';
import type { RosterPage } from './roster.ts';

/** What the answer about the fleet is made of. */
export interface FleetFacts {
  readonly pages: readonly RosterPage[];
  /** Running jobs by kind; undefined if they are not known. */
  readonly running: ReadonlyMap<string, number> | undefined;
  /** From the job histogram. */
  readonly jobCounts: Float64Array;
  readonly version: string;
  readonly nowMs: number;
}

export function fleetJson({ pages, running, jobCounts, version, nowMs }: FleetFacts): FleetJson {
  let [hosts, online, pending] = [0, 0, 0];
  const byRank = HOST_STATES.map(() => 0);
  const byKind = zeros(ALERT_KINDS);
  for (const page of pages) {
    const ranks = page.ranks(nowMs);
    for (let row = 0; row < page.length; row++) {
      const rank = ranks[row] as number;
      byRank[rank] = (byRank[rank] ?? 0) + 1;
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
  const alerts = { by_severity: bySeverity, by_kind: byKind };
  const states = zeros(HOST_STATES);
  for (const [rank, state] of HOST_STATES.entries()) states[state] = byRank[rank] ?? 0;
  return {
    hosts,
    online,
    pending,
    states,
    alerts,
    running: running === undefined ? null : countsByKind(running),
    finished_jobs: finishedJobs(jobCounts),
    version,
    time: new Date(nowMs).toISOString(),
  };
}

function countsByKind(counts: ReadonlyMap<string, number>): Record<JobKind, number> {
  const byKind = zeros(JOB_KINDS);
  for (const kind of JOB_KINDS) byKind[kind] = counts.get(kind) ?? 0;
  return byKind;
}

function finishedJobs(jobCounts: Float64Array): FleetJson['finished_jobs'] {
  const finished = zeros(JOB_STATUSES);
  for (const kind of JOB_KINDS) {
    for (const status of JOB_STATUSES) {
      const first = seriesIndex(kind, status) * BUCKET_COUNT;
      for (const jobs of jobCounts.subarray(first, first + BUCKET_COUNT)) finished[status] += jobs;
    }
  }
  return finished;
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
