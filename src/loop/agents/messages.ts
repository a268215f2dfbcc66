import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentStore } from './agent-store.ts';
import type { AgentConnection } from './connection.ts';
import type { HostQueues } from './host-queues.ts';
import {
  type AgentMessage,
  ackMessage,
  type Heartbeat,
  type Hello,
  type JobFinished,
  type JobStarted,
  parseAgentMessage,
  type RepoStats,
  welcomeMessage,
} from './protocol.ts';
import { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts';
import { closeFor, noteRefusedMessage, type RefusalContext } from './refusals.ts';

export interface MessageContext extends RefusalContext {
  readonly store: AgentStore;
  readonly queues: HostQueues;
  /** `JobWriter.observeJob` of the shard that this loop has in the histogram. */
  readonly observeJob: (kind: JobKind, status: JobStatus, durationMs: number) => void;
}

/**
 * Handles a text frame of an agent. A message is stored first. After that a finished job is observed in
 * the histogram and the message is acknowledged. A heartbeat needs no more than its receipt.
 */
export function handleFrame(
  connection: AgentConnection,
  text: string,
  context: MessageContext,
): void {
  try {
    const message = parseAgentMessage(text);
    context.stats.message(message.type);
    if (connection.state === 'ungreeted' && message.type !== 'hello') {
      const error = new ProtocolError('hello_required', 'the first message must be a hello');
      error.id = message.id;
      throw error;
    }
    dispatch(connection, message, context);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    // A message without a hello was counted by its type above.
    if (error.code !== 'hello_required') context.stats.message('other');
    refuse(connection, error, context);
  }
}

/** Answers a message with an error. The message must not have changed anything. */
export function refuse(
  connection: AgentConnection,
  error: ProtocolError,
  context: RefusalContext,
): void {
  connection.sendError(error);
  noteRefusedMessage(connection, error, context);
  if (error.type === 'hello' && connection.state === 'ungreeted') {
    closeFor(connection, 'bad_hello', context, error.code);
  } else if (!isForgiven(error.code) && connection.countBad()) {
    closeFor(connection, 'too_many_bad_messages', context);
  }
}

/**
 * Returns whether the error does not count as a bad message. A newer agent may send things that this
 * server does not know. A conflict concerns an earlier message: this one is well-formed.
 */
function isForgiven(code: ProtocolErrorCode): boolean {
  return code.startsWith('unknown_') || code === 'job_conflict';
}

function dispatch(
  connection: AgentConnection,
  message: AgentMessage,
  context: MessageContext,
): void {
  if (message.type === 'heartbeat') return;
  if (message.type === 'hello' && connection.isGreeting) {
    const error = new ProtocolError(
      'bad_message',
      'type: wait for the welcome before another hello',
    );
    error.id = message.id;
    return refuse(connection, error, context);
  }
  // Without this limit an agent that sends faster than the store can write would fill the memory.
  if (context.queues.isFull(connection.hostId)) {
    return closeFor(connection, 'too_many_unanswered', context);
  }
  // A hello must not wait behind older messages of its host. It needs no queue, because a connection
  // has at most one unanswered hello.
  if (message.type === 'hello') return storeAndReply(connection, message, context);
  context.queues.run(connection.hostId, () => storeAndReply(connection, message, context));
}

type StoredMessage = Exclude<AgentMessage, Heartbeat>;
/** The result of storing a message. `gone`: the host is no longer enrolled. */
type Result = 'done' | 'gone' | ProtocolError;

function storeAndReply(
  connection: AgentConnection,
  message: StoredMessage,
  context: MessageContext,
): void {
  const { type, id } = message;
  const leaveQueue = () => {
    if (type !== 'hello') context.queues.settled(connection.hostId);
  };
  submit(connection, message, context).then(
    (result) => {
      leaveQueue();
      if (result === 'gone') closeFor(connection, 'removed', context);
      else if (result instanceof ProtocolError) {
        result.id = id;
        refuse(connection, result, context);
      } else if (id !== undefined && type !== 'hello') connection.send(ackMessage(id));
    },
    // The message is not stored and not acknowledged. The agent connects again and sends it again.
    () => {
      leaveQueue();
      closeFor(connection, 'store_unavailable', context);
    },
  );
}

function submit(
  connection: AgentConnection,
  message: StoredMessage,
  context: MessageContext,
): Promise<Result> {
  switch (message.type) {
    case 'hello':
      return hello(connection, message, context);
    case 'job.started':
      return jobStarted(connection, message, context);
    case 'job.finished':
      return jobFinished(connection, message, context);
    case 'repo.stats':
      return repoStats(connection, message, context);
  }
}

async function hello(
  connection: AgentConnection,
  { agent }: Hello,
  { store }: MessageContext,
): Promise<Result> {
  connection.greet();
  connection.isGreeting = true;
  const { hostId, number } = connection;
  const answer = await store.submit('hello', { hostId, connection: number, agent });
  connection.isGreeting = false;
  if (answer === 'gone') return 'gone';
  connection.host = answer.host;
  connection.send(welcomeMessage(hostId, answer.host));
  return 'done';
}

async function jobStarted(
  { hostId }: AgentConnection,
  { jobId, kind, startedAtMs }: JobStarted,
  { store }: MessageContext,
): Promise<Result> {
  const answer = await store.submit('startJob', { hostId, jobId, kind, startedAtMs });
  if (answer === 'gone') return 'gone';
  return answer === 'job_conflict' ? conflict() : 'done';
}

/**
 * Observes the job if the store says that this is its first finish. The loop cannot decide that: a
 * repeated finish must not be counted twice, not even after a restart.
 */
async function jobFinished(
  { hostId }: AgentConnection,
  { jobId, status, finishedAtMs, exitCode, error, summary, kind, startedAtMs }: JobFinished,
  { store, observeJob }: MessageContext,
): Promise<Result> {
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
      'job_id: was never announced; send job.started first, or kind and started_at with the finish',
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
  { hostId }: AgentConnection,
  { totalSizeBytes, snapshotCount, repoStatus }: RepoStats,
  { store }: MessageContext,
): Promise<Result> {
  const stats = { hostId, totalSizeBytes, snapshotCount, repoStatus };
  const answer = await store.submit('repoStats', stats);
  return answer === 'gone' ? 'gone' : 'done';
}
