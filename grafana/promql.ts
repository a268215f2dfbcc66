/*
 * Every query of the dashboard.
 *
 * What a scrape says twice must count once: two Prometheus replicas behind one data source, or one
 * control plane scraped by two jobs. So rows of hosts are taken by `max by (host_id, host)`, which is
 * right across control planes too since a host_id is unique everywhere, and rows of the fleet by
 * `max by (instance)` before they are summed over the chosen control planes.
 *
 * A query must be empty when nothing is scraped, so that an outage never looks like good news; and it
 * must be 0, not empty, when there is nothing to count.
 */

const INSTANCE = 'instance=~"$instance"';
const HOSTS = `${INSTANCE}, host=~"$host"`;

/** For one backup a day: the day, and two hours for a backup that takes longer or starts later. */
export const OVERDUE_HOURS = 26;

/** More lines than this neither an eye nor a browser can follow. */
export const MAX_LINES = 50;

/** The bits of {@link hostState}, the worse the higher; what is after the point is alerts. */
export const STATE = { offline: 1, overdue: 2, failed: 4, neverBackedUp: 8 } as const;
export const MAX_COUNTED_ALERTS = 9;

const byHost = (inner: string) => `max by (host_id, host) (${inner})`;
const host = (family: string) => byHost(`${family}{${HOSTS}}`);
const fleet = (family: string) => `sum(max by (instance) (${family}{${INSTANCE}}))`;

export const hostsOnline = fleet('rm_hosts_online');
export const hostsTotal = fleet('rm_hosts_total');

/** Nothing scraped is 0, an empty fleet has no share. */
export const onlineShare = [
  `${hostsOnline} / (${hostsTotal} > 0)`,
  `or absent(rm_hosts_total{${INSTANCE}}) - 1`,
].join('\n');

export const openAlerts = `sum by (severity) (max by (instance, severity) (rm_active_alerts{${INSTANCE}}))`;

/** 0 also if no host has had a backup yet. */
export const backupsFailing = [
  `sum(${host('rm_host_last_backup_success')} == bool 0)`,
  `or 0 * sum(${host('rm_host_agent_online')})`,
].join('\n');

/** One row a host, however little is known of it; see {@link STATE}. */
export const hostState = `(
  (${host('rm_host_last_backup_success')} == bool 0) * ${STATE.failed}
  + (time() - ${host('rm_host_last_backup_timestamp_seconds')} > bool ${OVERDUE_HOURS} * 3600) * ${STATE.overdue}
  or ${host('rm_host_agent_online')} * 0 + ${STATE.neverBackedUp}
)
+ (${host('rm_host_agent_online')} == bool 0) * ${STATE.offline}
+ clamp_max(${host('rm_host_open_alerts')}, ${MAX_COUNTED_ALERTS}) / ${MAX_COUNTED_ALERTS + 1}`;

export const hostOnline = host('rm_host_agent_online');
/** Grafana's times are milliseconds. */
export const hostLastBackup = `${host('rm_host_last_backup_timestamp_seconds')} * 1000`;
export const hostLastResult = host('rm_host_last_backup_success');
export const hostRepoSize = host('rm_host_repo_size_bytes');
export const hostSnapshots = host('rm_host_snapshot_count');
export const hostAlerts = host('rm_host_open_alerts');

/** Which hosts have a line is decided once for the whole time shown, or lines would come and go. */
export const repoSizeOverTime = [
  hostRepoSize,
  `and on (host_id, host) topk(${MAX_LINES}, ${byHost(
    `max_over_time(rm_host_repo_size_bytes{${HOSTS}}[$__range] @ end())`,
  )})`,
].join('\n');

/**
 * A kind without a job in the window has a quantile of NaN, which compares as false, so it has no line.
 * What is scraped twice doubles every bucket alike, so the quantile stays.
 */
export const jobDurationP95 = `histogram_quantile(0.95, sum by (kind, le) (rate(rm_job_duration_seconds_bucket{${INSTANCE}}[$window]))) >= 0`;
