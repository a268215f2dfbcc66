import type { JobKind, JobStatus } from '../metrics/jobs.ts';
import type { StoreClient } from '../store/store-client.ts';
import type { AgentConnection } from './connection.ts';
import {
  type AgentMessage,
  ackMessage,
  CLOSE,
  type Hello,
  type JobFinished,
  type JobStarted,
  ProtocolError,
  parseAgentMessage,
  type RepoStats,
  welcomeMessage,
} from './protocol.ts';

export interface MessageContext {
  readonly store: StoreClient;
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
    if (connection.state === 'strange' && message.type !== 'hello') {
      const error = new ProtocolError('hello_required', 'the first message must be a hello');
      error.id = message.id;
      throw error;
    }
    dispatch(connection, message, context);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    refuse(connection, error);
  }
}

/** Answers a message that says nothing we can use; nothing has been changed by it. */
export function refuse(connection: AgentConnection, error: ProtocolError): void {
  connection.sendError(error);
  if (error.type === 'hello' && connection.state === 'strange') {
    connection.end(CLOSE.badHello, error.code);
  } else if (!error.code.startsWith('unknown_')) {
    // What a newer agent may well say, such as a kind we do not know, is not held against it.
    connection.countBad();
  }
}

function dispatch(
  connection: AgentConnection,
  message: AgentMessage,
  context: MessageContext,
): void {
  switch (message.type) {
    case 'heartbeat':
      return;
    case 'hello':
      return answering(connection, hello(connection, message, context));
    case 'job.started':
      return answering(connection, jobStarted(connection, message, context), message.id);
    case 'job.finished':
      return answering(connection, jobFinished(connection, message, context), message.id);
    case 'repo.stats':
      return answering(connection, repoStats(connection, message, context), message.id);
  }
}

type Answer = 'done' | 'gone' | ProtocolError;

function answering(connection: AgentConnection, work: Promise<Answer>, id?: string): void {
  work.then(
    (answer) => {
      if (answer === 'gone') connection.end(CLOSE.removed, 'host removed');
      else if (answer instanceof ProtocolError) {
        answer.id = id;
        refuse(connection, answer);
      } else if (id !== undefined) connection.send(ackMessage(id));
    },
    // Not stored, so not acknowledged: the agent comes back and sends it again.
    () => connection.end(CLOSE.tryAgainLater, 'the store is not available'),
  );
}

async function hello(
  connection: AgentConnection,
  { agent }: Hello,
  { store }: MessageContext,
): Promise<Answer> {
  connection.greet();
  const { hostId, number } = connection;
  const answer = await store.submit('hello', { hostId, connection: number, agent });
  if (answer === 'gone') return 'gone';
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
