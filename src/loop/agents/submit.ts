import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentStore } from './agent-store.ts';
import type { JobFinished, JobStarted, RepoStats } from './protocol.ts';
import { ProtocolError } from './protocol-error.ts';

export interface SubmitContext {
  readonly store: AgentStore;
  /** `JobWriter.observeJob` of the shard that this loop has in the histogram. */
  readonly observeJob: (kind: JobKind, status: JobStatus, durationMs: number) => void;
}

/**
 * `done`: the message is on disk. `gone`: the host is no longer enrolled. An error: the store refused the
 * message.
 */
export type SubmitResult = 'done' | 'gone' | ProtocolError;

/**
 * Stores a message. After that it observes a finished job in the histogram.
 * @throws RmError if the store is not available
 */
export function submitMessage(
  hostId: string,
  message: JobStarted | JobFinished | RepoStats,
  context: SubmitContext,
): Promise<SubmitResult> {
  switch (message.type) {
    case 'job.started':
      return jobStarted(hostId, message, context);
    case 'job.finished':
      return jobFinished(hostId, message, context);
    case 'repo.stats':
      return repoStats(hostId, message, context);
  }
}

async function jobStarted(
  hostId: string,
  { jobId, kind, startedAtMs }: JobStarted,
  { store }: SubmitContext,
): Promise<SubmitResult> {
  const answer = await store.submit('startJob', { hostId, jobId, kind, startedAtMs });
  if (answer === 'gone') return 'gone';
  return answer === 'job_conflict' ? conflict() : 'done';
}

/**
 * Observes the job if the store answers that this is its first finish. The loop cannot decide that: a
 * repeated finish must not be counted twice, not even after a restart.
 */
async function jobFinished(
  hostId: string,
  { jobId, status, finishedAtMs, exitCode, error, summary, kind, startedAtMs }: JobFinished,
  { store, observeJob }: SubmitContext,
): Promise<SubmitResult> {
  const verdict = await store.submit('finishJob', {
    hostId,
    jobId,
    status,
    finishedAtMs,
    exitCode,
    error,
    summary,
    kind,
    startedAtMs,
  });
  if (verdict === 'gone') return 'gone';
  if (verdict === 'job_conflict') return conflict();
  if (verdict === 'too_long') {
    const text = 'finished_at: must be at most 366 days after the start of the job';
    return new ProtocolError('bad_time', text);
  }
  if (verdict === 'unknown_job') {
    return new ProtocolError(
      'unknown_job',
      'job_id: no job.started was received for it; send that first, or send kind and started_at with the finish',
    );
  }
  if (verdict.first) observeJob(verdict.kind, status, verdict.durationMs);
  return 'done';
}

function conflict(): ProtocolError {
  return new ProtocolError(
    'job_conflict',
    'job_id: another job of this host has this id, with another kind, start, finish or status; use a new id for each job',
  );
}

async function repoStats(
  hostId: string,
  { totalSizeBytes, snapshotCount, repoStatus }: RepoStats,
  { store }: SubmitContext,
): Promise<SubmitResult> {
  const stats = { hostId, totalSizeBytes, snapshotCount, repoStatus };
  const answer = await store.submit('repoStats', stats);
  return answer === 'gone' ? 'gone' : 'done';
}
