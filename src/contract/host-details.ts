import { ALERT_KINDS, ALERT_SEVERITIES, type AlertKind } from './alert-kinds.ts';
import type { HostState } from './host-state.ts';
import type { JobKind, JobStatus } from './jobs.ts';
import type { ReportedJob } from './last-jobs.ts';

/*
 * A host as the API and the command `hosts show` show it. Times are Unix milliseconds. What is unknown is
 * undefined here, and null in the JSON.
 */

export interface HostSummary {
  readonly hostId: string;
  readonly host: string;
  readonly state: HostState;
  readonly status: 'pending' | 'offline' | 'online';
  readonly lastBackup: { readonly finishedAtMs: number; readonly succeeded: boolean } | undefined;
  readonly lastSuccessMs: number | undefined;
  readonly backupIntervalSeconds: number | undefined;
  readonly repoSizeBytes: number | undefined;
  readonly snapshotCount: number | undefined;
  /** Kinds of the open alerts, sorted. */
  readonly alerts: readonly AlertKind[];
  readonly agentVersion: string | undefined;
  readonly resticVersion: string | undefined;
}

export interface OpenAlert {
  readonly kind: AlertKind;
  readonly openedAtMs: number;
}

/** @param times when each open alert was opened, by its kind */
export function openAlerts(times: Readonly<Partial<Record<AlertKind, number>>>): OpenAlert[] {
  return ALERT_KINDS.flatMap((kind) => {
    const openedAtMs = times[kind];
    return openedAtMs === undefined ? [] : [{ kind, openedAtMs }];
  });
}

export interface HostDetails extends Omit<HostSummary, 'alerts'> {
  readonly os: string | undefined;
  readonly arch: string | undefined;
  /** Sorted by kind. */
  readonly alerts: readonly OpenAlert[];
  /** The last jobs, newest first. */
  readonly jobs: readonly ReportedJob[];
}

/** The answer to `GET /api/hosts` contains one of these for each host. */
export interface HostSummaryJson {
  readonly host_id: string;
  readonly host: string;
  readonly state: HostState;
  readonly status: HostSummary['status'];
  readonly last_backup_at: string | null;
  readonly last_backup_success: boolean | null;
  readonly last_success_at: string | null;
  readonly backup_interval_seconds: number | null;
  readonly repo_size_bytes: number | null;
  readonly snapshot_count: number | null;
  readonly alerts: readonly AlertKind[];
  readonly agent_version: string | null;
  readonly restic_version: string | null;
}

/** The answer to `GET /api/hosts/HOST_ID`, and the output of `hosts show --json`. */
export interface HostDetailsJson extends Omit<HostSummaryJson, 'alerts'> {
  readonly os: string | null;
  readonly arch: string | null;
  readonly alerts: readonly {
    readonly kind: AlertKind;
    readonly severity: string;
    readonly opened_at: string;
  }[];
  readonly jobs: readonly JobJson[];
}

export interface JobJson {
  readonly job_id: string;
  readonly kind: JobKind;
  /** `running`: the start was reported and the finish was not. */
  readonly status: JobStatus | 'running';
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly exit_code: number | null;
  readonly error: string | null;
  readonly bytes_added: number | null;
  readonly files_unreadable: number | null;
}

export function summaryJson(host: HostSummary): HostSummaryJson {
  return { ...commonJson(host), alerts: host.alerts, ...versionsJson(host) };
}

export function detailsJson(host: HostDetails): HostDetailsJson {
  return {
    ...commonJson(host),
    alerts: host.alerts.map(({ kind, openedAtMs }) => ({
      kind,
      severity: ALERT_SEVERITIES[kind],
      opened_at: isoTime(openedAtMs),
    })),
    ...versionsJson(host),
    os: host.os ?? null,
    arch: host.arch ?? null,
    jobs: host.jobs.map(jobJson),
  };
}

type Common = Omit<HostSummary, 'alerts'>;

function commonJson(host: Common) {
  const { lastBackup, lastSuccessMs } = host;
  return {
    host_id: host.hostId,
    host: host.host,
    state: host.state,
    status: host.status,
    last_backup_at: lastBackup === undefined ? null : isoTime(lastBackup.finishedAtMs),
    last_backup_success: lastBackup?.succeeded ?? null,
    last_success_at: lastSuccessMs === undefined ? null : isoTime(lastSuccessMs),
    backup_interval_seconds: host.backupIntervalSeconds ?? null,
    repo_size_bytes: host.repoSizeBytes ?? null,
    snapshot_count: host.snapshotCount ?? null,
  };
}

function versionsJson({ agentVersion, resticVersion }: Common) {
  return { agent_version: agentVersion ?? null, restic_version: resticVersion ?? null };
}

function jobJson(job: ReportedJob): JobJson {
  return {
    job_id: job.jobId,
    kind: job.kind,
    status: job.status ?? 'running',
    started_at: isoTime(job.startedAtMs),
    finished_at: job.finishedAtMs === undefined ? null : isoTime(job.finishedAtMs),
    exit_code: job.exitCode ?? null,
    error: job.error ?? null,
    bytes_added: job.bytesAdded ?? null,
    files_unreadable: job.filesUnreadable ?? null,
  };
}

/** RFC 3339 in UTC. */
function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
