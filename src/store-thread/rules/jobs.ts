import type { JobKind } from '../../contract/jobs.ts';
import type { FinishVerdict, JobFinish, Request } from '../../contract/operations.ts';
import { JOB_ALERTS, openAlert, resolveAlert } from './alerts.ts';
import type { Decision, HostRecord, JobEnd, JobRecord } from './records.ts';

/** A job that is known already stays as it is. */
export function startJob(
  host: HostRecord,
  known: JobRecord | undefined,
  { jobId, kind, startedAtMs }: Request<'startJob'>,
): Decision<'recorded'> {
  if (known !== undefined) return { answer: 'recorded' };
  const job = { hostId: host.hostId, jobId, kind, startedAtMs, finish: undefined };
  return { answer: 'recorded', job };
}

/**
 * Only the first finish of a job counts. A job that was never announced has its kind and its start in the finish.
 * @param known the job as it is, if it is known
 */
export function finishJob(
  host: HostRecord,
  known: JobRecord | undefined,
  finish: JobFinish,
): Decision<FinishVerdict> {
  if (known?.finish !== undefined) return { answer: { first: false } };
  const kind = known?.kind ?? finish.kind;
  const startedAtMs = known?.startedAtMs ?? finish.startedAtMs;
  if (kind === undefined || startedAtMs === undefined) return { answer: 'unknown_job' };
  const { jobId, status, finishedAtMs, exitCode, error } = finish;
  const end = { status, finishedAtMs, exitCode, error };
  return {
    answer: { first: true, kind, durationMs: finishedAtMs - startedAtMs },
    host: afterFinish(host, kind, end),
    job: { hostId: host.hostId, jobId, kind, startedAtMs, finish: end },
  };
}

/**
 * What a finish means for its host. Agents report late what they could not report in time, so a host shows the job
 * that finished last, not the one that was reported last. A job that neither opens nor resolves an alert, such as a
 * cancelled check, does not hide the jobs before it.
 */
function afterFinish(
  host: HostRecord,
  kind: JobKind,
  { status, finishedAtMs }: JobEnd,
): HostRecord {
  const rule = JOB_ALERTS[kind];
  if (rule === undefined) return host;
  const succeeded = status === 'succeeded';
  const opens = rule.opensOn.includes(status);
  if (!opens && !succeeded) return host;
  const lastAtMs = kind === 'backup' ? host.lastBackup?.finishedAtMs : host.lastFinishes[kind];
  if (lastAtMs !== undefined && lastAtMs > finishedAtMs) return host;
  const noted = noteFinish(host, kind, finishedAtMs, succeeded);
  return opens ? openAlert(noted, rule.alert, finishedAtMs) : resolveAlert(noted, rule.alert);
}

function noteFinish(
  host: HostRecord,
  kind: JobKind,
  finishedAtMs: number,
  succeeded: boolean,
): HostRecord {
  if (kind === 'backup') return { ...host, lastBackup: { finishedAtMs, succeeded } };
  const lastFinishes = { ...host.lastFinishes, [kind]: finishedAtMs };
  if (kind !== 'init') return { ...host, lastFinishes };
  return { ...host, lastFinishes, repoStatus: succeeded ? 'ready' : 'init_failed' };
}
