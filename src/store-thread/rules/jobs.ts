import type { JobKind } from '../../contract/jobs.ts';
import type { FinishVerdict, JobConflict, JobFinish, Request } from '../../contract/operations.ts';
import { afterFinish } from './finished-jobs.ts';
import type { Decision, HostRecord, JobRecord } from './records.ts';
import { MAX_DURATION_MS } from './time.ts';

/** Decides what the start of a job changes. A repeated start changes nothing. */
export function startJob(
  host: HostRecord,
  known: JobRecord | undefined,
  { jobId, kind, startedAtMs }: Request<'startJob'>,
): Decision<'recorded' | JobConflict> {
  if (known !== undefined) {
    return { answer: isSameJob(known, { kind, startedAtMs }) ? 'recorded' : 'job_conflict' };
  }
  const job = { hostId: host.hostId, jobId, kind, startedAtMs, finish: undefined };
  return { answer: 'recorded', job };
}

/**
 * Decides what the finish of a job changes. Only its first finish counts. If the start was not reported, the finish
 * must contain the kind and the start time.
 * @param known the stored job, if there is one
 */
export function finishJob(
  host: HostRecord,
  known: JobRecord | undefined,
  finish: JobFinish,
  receivedAtMs: number,
): Decision<FinishVerdict> {
  if (known !== undefined && !isSameJob(known, finish)) return { answer: 'job_conflict' };
  if (known?.finish !== undefined) {
    const { status, finishedAtMs } = known.finish;
    const isRepeat = status === finish.status && finishedAtMs === finish.finishedAtMs;
    return { answer: isRepeat ? { first: false } : 'job_conflict' };
  }
  const kind = known?.kind ?? finish.kind;
  const startedAtMs = known?.startedAtMs ?? finish.startedAtMs;
  if (kind === undefined || startedAtMs === undefined) return { answer: 'unknown_job' };
  const durationMs = finish.finishedAtMs - startedAtMs;
  if (durationMs > MAX_DURATION_MS) return { answer: 'too_long' };
  const { jobId, status, finishedAtMs, exitCode, error, summary } = finish;
  const end = { status, finishedAtMs, exitCode, error, summary };
  return {
    answer: { first: true, kind, durationMs },
    host: afterFinish(host, { kind, durationMs, ...end }, receivedAtMs),
    job: { hostId: host.hostId, jobId, kind, startedAtMs, finish: end },
  };
}

/** Returns whether the fields that the report contains agree with the stored job. */
function isSameJob(
  known: JobRecord,
  { kind, startedAtMs }: { kind?: JobKind | undefined; startedAtMs?: number | undefined },
): boolean {
  return (
    (kind === undefined || kind === known.kind) &&
    (startedAtMs === undefined || startedAtMs === known.startedAtMs)
  );
}
