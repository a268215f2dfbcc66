import { REPO_STATUSES, SEVERITIES } from '../contract/host.ts';
import { type Shard, WHOLE_FLEET } from '../contract/shard.ts';
import {
  ALERTS_CRITICAL,
  ALERTS_INFO,
  ALERTS_WARNING,
  BACKUP_ADDED_BYTES,
  BACKUP_DURATION_MS,
  BACKUP_INTERVAL_SECONDS,
  BACKUP_SUCCESS_MS,
  CHECK_SUCCESS_MS,
  FLAG_BACKUP_SUCCEEDED,
  FLAG_HAS_BACKUP,
  FLAG_HAS_REPO_SIZE,
  FLAG_ONLINE,
  FLAG_REPORTS_BY_HTTP,
  FLAGS,
  LAST_BACKUP_MS,
  PAGE_ROWS,
  type Page,
  REPO_SIZE,
  REPO_STATUS_SHIFT,
  SNAPSHOTS,
} from './fleet-layout.ts';
import { SERVER_FAMILIES, type ServerFamily } from './server-families.ts';

/** The labels of `rm_build_info` and `rm_shard`. */
export interface BuildInfo {
  readonly version: string;
  readonly commit: string;
  readonly nodeVersion: string;
  /** The part of the hosts that the body shows. Default: all. */
  readonly shard?: Shard | undefined;
}

/**
 * Sums over a fleet or over one page of it. They are computed from the same copy of the rows that
 * the body shows, so totals and rows of one scrape always agree.
 */
export interface FleetTotals {
  /** Hosts with rows. */
  readonly hosts: number;
  readonly online: number;
  readonly openAlerts: Readonly<Record<(typeof SEVERITIES)[number], number>>;
}

/** The whole fleet. */
export interface FleetSummary extends FleetTotals {
  /** Hosts that are enrolled but have never connected or reported. */
  readonly pending: number;
}

interface FamilyBase {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** A family with a few rows about the whole fleet. */
export interface FleetFamily extends FamilyBase {
  readonly type: 'gauge';
  readonly over: 'fleet';
  /** Each row is its label values, in the order of `labels`, and its value. The rows are sorted. */
  rows(totals: FleetSummary, build: BuildInfo): readonly (readonly [readonly string[], number])[];
}

/** A family with at most one row per host. Its first labels are always `host_id,host`. */
export interface HostFamily extends FamilyBase {
  readonly type: 'gauge';
  readonly over: 'hosts';
  /**
   * Unit of the values that `evaluate` returns. Milliseconds are written as seconds. Default:
   * written as they are.
   */
  readonly unit?: 'milliseconds';
  /**
   * The label after `host_id,host`, if the family has one: its possible values, and `pick`, which
   * returns the index of the value for a row.
   */
  readonly lastLabel?: {
    readonly values: readonly string[];
    pick(page: Page, row: number): number;
  };
  /** Whether the second text of a host, its further labels, follows the first one. */
  readonly hasInfoLabels?: true;
  /** Whether the values are in the details of a page. */
  readonly isDetail?: true;
  /**
   * Sets `values[row]` for each row from `from` up to, but not including, `to`. NaN means that the
   * family has no row for this host.
   *
   * Each family has its own loop over the rows of a page. A function called once per row would
   * return its number boxed on the heap.
   */
  evaluate(page: Page, from: number, to: number, values: Float64Array): void;
}

/** The job histogram. */
export interface JobFamily extends FamilyBase {
  readonly type: 'histogram';
  readonly over: 'jobs';
}

export type Family = FleetFamily | HostFamily | JobFamily | ServerFamily;

const has = (page: Page, row: number, flag: number) => (page.word(FLAGS, row) & flag) !== 0;
const oneIf = (condition: boolean) => (condition ? 1 : 0);

/** The values are a column of the details, in which NaN means that there is no row. */
function detail(column: number): Pick<HostFamily, 'isDetail' | 'evaluate'> {
  return {
    isDetail: true,
    evaluate(page, from, to, values) {
      const first = column * PAGE_ROWS;
      if (page.details === undefined) values.fill(Number.NaN, from, to);
      else values.set(page.details.subarray(first + from, first + to), from);
    },
  };
}

/** Families about the fleet and its jobs, sorted by name. */
const FLEET_FAMILIES: readonly Exclude<Family, ServerFamily>[] = [
  {
    name: 'rm_active_alerts',
    type: 'gauge',
    help: 'Open alerts by severity.',
    labels: ['severity'],
    over: 'fleet',
    rows: ({ openAlerts }) => SEVERITIES.map((severity) => [[severity], openAlerts[severity]]),
  },
  {
    name: 'rm_build_info',
    type: 'gauge',
    help: 'Always 1. The labels contain the version, its commit and the version of Node.',
    labels: ['version', 'commit', 'node_version'],
    over: 'fleet',
    rows: (_, { version, commit, nodeVersion }) => [[[version, commit, nodeVersion], 1]],
  },
  {
    name: 'rm_host_agent_online',
    type: 'gauge',
    help: 'Whether the host is online: 1 if its agent is connected or it reports by HTTP often enough, else 0.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) values[row] = oneIf(has(page, row, FLAG_ONLINE));
    },
  },
  {
    name: 'rm_host_agent_reports_by_http',
    type: 'gauge',
    help: 'Always 1. One row per host that is online because it reports by HTTP, without a WebSocket connection.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) {
        values[row] = has(page, row, FLAG_REPORTS_BY_HTTP) ? 1 : Number.NaN;
      }
    },
  },
  {
    name: 'rm_host_backup_interval_seconds',
    type: 'gauge',
    help: 'Planned time between two backups of the host, as reported by its agent; no row while unknown.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    ...detail(BACKUP_INTERVAL_SECONDS),
  },
  {
    name: 'rm_host_info',
    type: 'gauge',
    help: 'Always 1. The labels describe the software and the platform of the host; unknown ones are empty.',
    labels: ['host_id', 'host', 'agent_version', 'restic_version', 'os', 'arch'],
    over: 'hosts',
    hasInfoLabels: true,
    evaluate(_, from, to, values) {
      values.fill(1, from, to);
    },
  },
  {
    name: 'rm_host_last_backup_added_bytes',
    type: 'gauge',
    help: 'Bytes added to the repository by the last backup that reported this number; no row while unknown.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    ...detail(BACKUP_ADDED_BYTES),
  },
  {
    name: 'rm_host_last_backup_duration_seconds',
    type: 'gauge',
    help: 'Duration of the last finished backup of the host; no row before the first.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    unit: 'milliseconds',
    ...detail(BACKUP_DURATION_MS),
  },
  {
    name: 'rm_host_last_backup_success',
    type: 'gauge',
    help: 'Whether the last finished backup of the host succeeded: 1 or 0; no row before the first.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) {
        const succeeded = oneIf(has(page, row, FLAG_BACKUP_SUCCEEDED));
        values[row] = has(page, row, FLAG_HAS_BACKUP) ? succeeded : Number.NaN;
      }
    },
  },
  {
    name: 'rm_host_last_backup_success_timestamp_seconds',
    type: 'gauge',
    help: 'Unix time at which the last successful backup of the host finished; no row before the first.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    unit: 'milliseconds',
    ...detail(BACKUP_SUCCESS_MS),
  },
  {
    name: 'rm_host_last_backup_timestamp_seconds',
    type: 'gauge',
    help: 'Unix time at which the last backup of the host finished, whatever its status; no row before the first.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    unit: 'milliseconds',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) {
        const known = has(page, row, FLAG_HAS_BACKUP);
        values[row] = known ? page.double(LAST_BACKUP_MS, row) : Number.NaN;
      }
    },
  },
  {
    name: 'rm_host_last_check_success_timestamp_seconds',
    type: 'gauge',
    help: 'Unix time at which the last successful check of the host finished; no row before the first.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    unit: 'milliseconds',
    ...detail(CHECK_SUCCESS_MS),
  },
  {
    name: 'rm_host_open_alerts',
    type: 'gauge',
    help: 'Open alerts of the host.',
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) {
        values[row] =
          page.word(ALERTS_CRITICAL, row) +
          page.word(ALERTS_INFO, row) +
          page.word(ALERTS_WARNING, row);
      }
    },
  },
  {
    name: 'rm_host_repo_size_bytes',
    type: 'gauge',
    help: "Total size of the host's repository from its latest statistics; no row while unknown.",
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) {
        const known = has(page, row, FLAG_HAS_REPO_SIZE);
        values[row] = known ? page.double(REPO_SIZE, row) : Number.NaN;
      }
    },
  },
  {
    name: 'rm_host_repo_status',
    type: 'gauge',
    help: "Always 1. The label status is the state of the host's repository: unknown, ready or init_failed.",
    labels: ['host_id', 'host', 'status'],
    over: 'hosts',
    lastLabel: {
      values: REPO_STATUSES,
      pick: (page, row) => page.word(FLAGS, row) >> REPO_STATUS_SHIFT,
    },
    evaluate(_, from, to, values) {
      values.fill(1, from, to);
    },
  },
  {
    name: 'rm_host_snapshot_count',
    type: 'gauge',
    help: "Snapshots in the host's repository.",
    labels: ['host_id', 'host'],
    over: 'hosts',
    evaluate(page, from, to, values) {
      for (let row = from; row < to; row++) values[row] = page.double(SNAPSHOTS, row);
    },
  },
  {
    name: 'rm_hosts_online',
    type: 'gauge',
    help: 'Hosts that are online.',
    labels: [],
    over: 'fleet',
    rows: ({ online }) => [[[], online]],
  },
  {
    name: 'rm_hosts_pending',
    type: 'gauge',
    help: 'Hosts that are enrolled but have never connected or reported.',
    labels: [],
    over: 'fleet',
    rows: ({ pending }) => [[[], pending]],
  },
  {
    name: 'rm_hosts_total',
    type: 'gauge',
    help: 'Hosts that have connected or reported at least once.',
    labels: [],
    over: 'fleet',
    rows: ({ hosts }) => [[[], hosts]],
  },
  {
    name: 'rm_job_duration_seconds',
    type: 'histogram',
    help: 'Durations of finished jobs by kind and status, since the control plane started.',
    labels: ['kind', 'status'],
    over: 'jobs',
  },
  {
    name: 'rm_shard',
    type: 'gauge',
    help: 'Always 1. The labels contain the part of the hosts that is shown here, counted from 0, and the number of parts.',
    labels: ['shard', 'shards'],
    over: 'fleet',
    rows: (_, { shard = WHOLE_FLEET }) => [[[String(shard.index), String(shard.count)], 1]],
  },
];

/** Every family of the exposition. They are sorted by name, which is their order in the body. */
export const FAMILIES: readonly Family[] = [...FLEET_FAMILIES, ...SERVER_FAMILIES].sort((a, b) =>
  a.name < b.name ? -1 : 1,
);

/**
 * Families with rows per host. The index of a family in this list is the index of its mark in a
 * page.
 */
export const HOST_FAMILIES: readonly HostFamily[] = FAMILIES.filter(
  (family) => family.over === 'hosts',
);

/** The index of the family whose rows have the second text of a host. */
export const INFO_FAMILY = HOST_FAMILIES.findIndex((family) => family.hasInfoLabels);

/** The totals of the hosts of one page. */
export function pageTotals(page: Page): FleetTotals {
  const openAlerts = { critical: 0, info: 0, warning: 0 };
  let online = 0;
  for (let row = 0; row < page.rowCount; row++) {
    if (has(page, row, FLAG_ONLINE)) online++;
    openAlerts.critical += page.word(ALERTS_CRITICAL, row);
    openAlerts.info += page.word(ALERTS_INFO, row);
    openAlerts.warning += page.word(ALERTS_WARNING, row);
  }
  return { hosts: page.rowCount, online, openAlerts };
}

export function sumTotals(pages: Iterable<FleetTotals>): FleetTotals {
  const openAlerts = { critical: 0, info: 0, warning: 0 };
  let hosts = 0;
  let online = 0;
  for (const page of pages) {
    hosts += page.hosts;
    online += page.online;
    for (const severity of SEVERITIES) openAlerts[severity] += page.openAlerts[severity];
  }
  return { hosts, online, openAlerts };
}
