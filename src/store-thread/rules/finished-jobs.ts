import type { JobKind } from '../../contract/jobs.ts';
import { JOB_ALERTS, openAlert, resolveAlert, setAlert } from './alerts.ts';
import type { FinishKind, HostRecord, JobEnd } from './records.ts';
import { isLatest, type ReportedTime, reportedTime } from './time.ts';

export interface FinishedJob extends JobEnd {
  readonly kind: JobKind;
  readonly durationMs: number;
}

/** restic's exit code for a backup that could not read some files. Its snapshot exists. */
const INCOMPLETE = 3;
/** Kinds of jobs whose success does not prove that the repository exists. */
const WITHOUT_REPOSITORY: readonly JobKind[] = ['diff', 'unlock', 'update'];

/**
 * Returns the host after a finished job. An agent may report a job late, so the host shows the job
 * that finished last, not the one that was reported last.
 */
export function afterFinish(host: HostRecord, job: FinishedJob, receivedAtMs: number): HostRecord {
  const time = reportedTime(job.finishedAtMs, receivedAtMs);
  const isLast = (kind: FinishKind) => isLatest(time, lastOrderMs(host, kind), receivedAtMs);
  let after = host;
  if (opensOrResolvesAlert(job) && isLast(job.kind)) after = afterLast(after, job, time);
  if (job.status !== 'succeeded') return after;
  if (job.kind === 'backup' && isLast('backup_success')) {
    after = noteTime({ ...after, lastBackupSuccessMs: time.shownMs }, 'backup_success', time);
  }
  if (job.kind === 'check' && isLast('check_success')) {
    after = noteTime({ ...after, lastCheckSuccessMs: time.shownMs }, 'check_success', time);
  }
  // A failed init that finished after this job takes precedence.
  const provesRepository = !WITHOUT_REPOSITORY.includes(job.kind);
  return provesRepository && isLast('init') ? repositoryIsReady(after) : after;
}

/** Marks the repository ready. An existing repository resolves the alert of a failed init. */
export function repositoryIsReady(host: HostRecord): HostRecord {
  const ready = host.repoStatus === 'ready' ? host : { ...host, repoStatus: 'ready' as const };
  return resolveAlert(ready, 'init_failed');
}

/**
 * Returns whether the job opens or resolves an alert. One that does neither, such as a cancelled
 * check, must not replace the last job that did.
 */
function opensOrResolvesAlert({ kind, status }: FinishedJob): boolean {
  const rule = JOB_ALERTS[kind];
  return rule !== undefined && (status === 'succeeded' || rule.opensOn.includes(status));
}

/** Returns the host after a job that finished last of its kind. */
function afterLast(host: HostRecord, job: FinishedJob, time: ReportedTime): HostRecord {
  const noted = noteTime(host, job.kind, time);
  const rule = JOB_ALERTS[job.kind];
  if (rule === undefined) return noted;
  if (job.kind === 'init' && job.status === 'failed') return afterFailedInit(noted, time.shownMs);
  const fails = job.status !== 'succeeded';
  const alerted = setAlert(noted, rule.alert, fails, time.shownMs);
  return job.kind === 'backup' ? afterLastBackup(alerted, job, time.shownMs) : alerted;
}

/** An init also fails if the repository already exists. A repository that is ready stays ready. */
function afterFailedInit(host: HostRecord, atMs: number): HostRecord {
  if (host.repoStatus === 'ready') return host;
  return openAlert({ ...host, repoStatus: 'init_failed' }, 'init_failed', atMs);
}

function afterLastBackup(
  host: HostRecord,
  { status, durationMs, exitCode, summary }: FinishedJob,
  atMs: number,
): HostRecord {
  const succeeded = status === 'succeeded';
  const lastBackup = { finishedAtMs: atMs, succeeded, durationMs: Math.max(durationMs, 0) };
  const lastBackupAddedBytes = summary?.bytesAdded ?? host.lastBackupAddedBytes;
  const shown = { ...host, lastBackup, lastBackupAddedBytes };
  if (!succeeded) return shown;
  const isIncomplete = exitCode === INCOMPLETE || (summary?.filesUnreadable ?? 0) > 0;
  return setAlert(shown, 'backup_incomplete', isIncomplete, atMs);
}

function noteTime(
  host: HostRecord,
  kind: FinishKind,
  { shownMs, orderMs }: ReportedTime,
): HostRecord {
  const { [kind]: before, ...others } = host.lastFinishes;
  if (orderMs === shownMs && isShown(kind)) {
    return before === undefined ? host : { ...host, lastFinishes: others };
  }
  return { ...host, lastFinishes: { ...host.lastFinishes, [kind]: orderMs } };
}

/** The time with which a new finish of this kind is compared. */
function lastOrderMs(host: HostRecord, kind: FinishKind): number | undefined {
  return host.lastFinishes[kind] ?? (isShown(kind) ? SHOWN_TIMES[kind](host) : undefined);
}

/**
 * Times that a host shows. Unless the agent's clock was wrong, later finishes are compared with them. So most finishes
 * need no row in `last_finishes`.
 */
const SHOWN_TIMES = {
  backup: ({ lastBackup }: HostRecord) => lastBackup?.finishedAtMs,
  backup_success: ({ lastBackupSuccessMs }: HostRecord) => lastBackupSuccessMs,
  check_success: ({ lastCheckSuccessMs }: HostRecord) => lastCheckSuccessMs,
};

function isShown(kind: FinishKind): kind is keyof typeof SHOWN_TIMES {
  return kind in SHOWN_TIMES;
}
