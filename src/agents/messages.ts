import type { JobKind, JobStatus } from '../metrics/jobs.ts';
import type { StoreClient } from '../store/store-client.ts';
import type { AgentConnection } from './connection.ts';
import type { HostQueues } from './host-queues.ts';
import {
  type AgentMessage,
  ackMessage,
  type Heartbeat,
  type Hello,
  type JobFinished,
  type JobStarted,
  ProtocolError,
  parseAgentMessage,
  type RepoStats,
  welcomeMessage,
} from './protocol.ts';
import { closeFor, type RefusalContext } from './refusals.ts';

export interface MessageContext extends RefusalContext {
  readonly store: StoreClient;
  readonly queues: HostQueues;
  readonly observeJob: (kind: JobKind, status: JobStatus, durationMs: number) => void;
}

/** What an agent's frame leads to: the store first, then the histogram and the acknowledgement. */
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
    if (error.code !== 'hello_required') context.stats.message('other');
    refuse(connection, error, context);
  }
}

/** Answers a message that says nothing we can use; nothing has been changed by it. */
export function refuse(
  connection: AgentConnection,
  error: ProtocolError,
  context: RefusalContext,
): void {
  connection.sendError(error);
  context.stats.refusal(error.code);
  if (error.type === 'hello' && connection.state === 'ungreeted') {
    closeFor(connection, 'bad_hello', context, error.code);
  } else if (!error.code.startsWith('unknown_') && connection.countBad()) {
    // What a newer agent may well say, such as a kind we do not know, is not held against it.
    closeFor(connection, 'too_many_bad_messages', context);
  }
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
  // Without this bound an agent that sends faster than the store can write would fill the memory.
  if (context.queues.isFull(connection.hostId)) {
    return closeFor(connection, 'too_many_unanswered', context);
  }
  answering(connection, work(connection, message, context), message, context);
}

function work(
  connection: AgentConnection,
  message: Exclude<AgentMessage, Heartbeat>,
  context: MessageContext,
): Promise<Answer> {
  const { hostId } = connection;
  const { queues } = context;
  switch (message.type) {
    case 'hello':
      // It counts from now on, also while older messages of its host wait; a connection has one at a time.
      return hello(connection, message, context);
    case 'job.started':
      return queues.run(hostId, () => jobStarted(connection, message, context));
    case 'job.finished':
      return queues.run(hostId, () => jobFinished(connection, message, context));
    case 'repo.stats':
      return queues.run(hostId, () => repoStats(connection, message, context));
  }
}

type Answer = 'done' | 'gone' | ProtocolError;

function answering(
  connection: AgentConnection,
  work: Promise<Answer>,
  { type, id }: AgentMessage,
  context: MessageContext,
): void {
  work.then(
    (answer) => {
      if (answer === 'gone') closeFor(connection, 'removed', context);
      else if (answer instanceof ProtocolError) {
        answer.id = id;
        refuse(connection, answer, context);
      } else if (id !== undefined && type !== 'hello') connection.send(ackMessage(id));
    },
    // Not stored, so not acknowledged: the agent comes back and sends it again.
    () => closeFor(connection, 'store_unavailable', context),
  );
}

async function hello(
  connection: AgentConnection,
  { agent }: Hello,
  { store }: MessageContext,
): Promise<Answer> {
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
): Promise<Answer> {
  const answer = await store.submit('startJob', { hostId, jobId, kind, startedAtMs });
  return answer === 'gone' ? 'gone' : 'done';
}

/**
 * Whether a finish is the first of its job is the store's verdict, so that a repeated one is not counted
 * twice, not even across a restart.
 */
async function jobFinished(
  { hostId }: AgentConnection,
  { type: _, ...finish }: JobFinished,
  { store, observeJob }: MessageContext,
): Promise<Answer> {
  const verdict = await store.submit('finishJob', { hostId, ...finish });
  if (verdict === 'gone') return 'gone';
  if (verdict === 'unknown_job') {
    return new ProtocolError(
      'unknown_job',
      'job_id: was never announced; send job.started first, or kind and started_at with the finish',
    );
  }
  if (verdict.first) observeJob(verdict.kind, finish.status, verdict.durationMs);
  return 'done';
}

async function repoStats(
  { hostId }: AgentConnection,
  { type: _, ...stats }: RepoStats,
  { store }: MessageContext,
): Promise<Answer> {
  const answer = await store.submit('repoStats', { hostId, ...stats });
  return answer === 'gone' ? 'gone' : 'done';
}
