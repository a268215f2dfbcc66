/*
 * All queries of the dashboard.
 *
 * If the same rows are scraped twice, they must count only once. That happens with two Prometheus
 * replicas behind one data source, or with two jobs that scrape the same control plane. Rows of
 * hosts are therefore aggregated by `max by (host_id, host)`. This is also correct across control
 * planes, because a host_id is unique everywhere. Rows of the fleet are aggregated by `max by
 * (instance)` and then summed over the selected control planes.
 *
 * A query must return nothing if nothing is scraped, so that an outage never looks like good news.
 * It must return 0, and not nothing, if there is nothing to count.
 */

/*
 * The format `regex` has Grafana escape each value for a regular expression, and nothing else. Between backticks PromQL
 * takes it as it is. Without the format, Grafana escapes for a text in double quotes, but not the double quotes and
 * backslashes that a name may have. https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/#regex
 */
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
const INSTANCE = 'instance=~`${instance:regex}`';
const HOSTS = `${INSTANCE}, host=~\`\${host:regex}\``;

/**
 * For hosts that do not report their backup interval: one day, plus two hours for a backup that takes longer or starts
 * later.
 */
export const OVERDUE_HOURS = 26;
/** For hosts that report their backup interval: 110 % of it. */
const OVERDUE_INTERVALS = 1.1;

/** Maximum number of lines that a viewer and a browser can handle. */
export const MAX_LINES = 50;

/** The bits of {@link hostState}; higher bits are worse. The fraction is the number of alerts. */
export const STATE = { offline: 1, overdue: 2, failed: 4, neverBackedUp: 8 } as const;
export const MAX_COUNTED_ALERTS = 9;

const byHost = (inner: string) => `max by (host_id, host) (${inner})`;
const host = (family: string) => byHost(`${family}{${HOSTS}}`);
const fleet = (family: string) => `sum(max by (instance) (${family}{${INSTANCE}}))`;

export const hostsOnline = fleet('rm_hosts_online');
export const hostsTotal = fleet('rm_hosts_total');

/** Returns 0 if nothing is scraped, and nothing for an empty fleet. */
export const onlineShare = [
  `${hostsOnline} / (${hostsTotal} > 0)`,
  `or absent(rm_hosts_total{${INSTANCE}}) - 1`,
].join('\n');

export const openAlerts = `sum by (severity) (max by (instance, severity) (rm_active_alerts{${INSTANCE}}))`;

/** Also returns 0 if no host has had a backup yet. */
export const backupsFailing = [
  `sum(${host('rm_host_last_backup_success')} == bool 0)`,
  `or 0 * sum(${host('rm_host_agent_online')})`,
].join('\n');

const lastBackup = host('rm_host_last_backup_timestamp_seconds');
const overdueAfter = `(
    ${host('rm_host_backup_interval_seconds')} * ${OVERDUE_INTERVALS}
    or ${lastBackup} * 0 + ${OVERDUE_HOURS} * 3600
  )`;

/** One row per host, even if most of its values are unknown; see {@link STATE}. */
export const hostState = `(
  (${host('rm_host_last_backup_success')} == bool 0) * ${STATE.failed}
  + (time() - ${lastBackup} > bool ${overdueAfter}) * ${STATE.overdue}
  or ${host('rm_host_agent_online')} * 0 + ${STATE.neverBackedUp}
)
+ (${host('rm_host_agent_online')} == bool 0) * ${STATE.offline}
+ clamp_max(${host('rm_host_open_alerts')}, ${MAX_COUNTED_ALERTS}) / ${MAX_COUNTED_ALERTS + 1}`;

/** 2 for a host that is online because it reports by HTTP, else 1 or 0. */
export const hostOnline = `${host('rm_host_agent_reports_by_http')} + 1
or ${host('rm_host_agent_online')}`;
/** In milliseconds, the unit of times in Grafana. */
export const hostLastBackup = `${lastBackup} * 1000`;
export const hostLastSuccess = `${host('rm_host_last_backup_success_timestamp_seconds')} * 1000`;
export const hostLastResult = host('rm_host_last_backup_success');
export const hostRepoSize = host('rm_host_repo_size_bytes');
export const hostSnapshots = host('rm_host_snapshot_count');
/** The labels contain the versions that the agent reported. */
export const hostVersions = `max by (host_id, host, agent_version, restic_version) (rm_host_info{${HOSTS}})`;
export const hostAlerts = host('rm_host_open_alerts');

/**
 * The hosts that have a line are chosen once for the whole time range. Otherwise lines would appear
 * and disappear.
 */
export const repoSizeOverTime = [
  hostRepoSize,
  `and on (host_id, host) topk(${MAX_LINES}, ${byHost(
    `max_over_time(rm_host_repo_size_bytes{${HOSTS}}[$__range] @ end())`,
  )})`,
].join('\n');

/**
 * The quantile of a kind without a job in the window is NaN, which compares as false, so that kind
 * has no line. If rows are scraped twice, all buckets double and the quantile stays the same.
 */
export const jobDurationP95 = `histogram_quantile(0.95, sum by (kind, le) (rate(rm_job_duration_seconds_bucket{${INSTANCE}}[$window]))) >= 0`;
