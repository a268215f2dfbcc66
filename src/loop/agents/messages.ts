import type { AgentConnection } from './connection.ts';
import type { HostQueues } from './host-queues.ts';
import {
  type AgentMessage,
  ackMessage,
  type Heartbeat,
  type Hello,
  parseAgentMessage,
  welcomeMessage,
} from './protocol.ts';
import { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts';
import { closeFor, noteRefusedMessage, type RefusalContext } from './refusals.ts';
import { type SubmitContext, type SubmitResult, submitMessage } from './submit.ts';

export interface MessageContext extends RefusalContext, SubmitContext {
  readonly queues: HostQueues;
}

/**
 * Handles a text frame of an agent. A message is stored first. After that a finished job is observed in
 * the histogram and the message is acknowledged. Receiving a heartbeat is enough; nothing is stored.
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
      'type: a hello was already sent; wait for the welcome before sending another one',
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

function storeAndReply(
  connection: AgentConnection,
  message: StoredMessage,
  context: MessageContext,
): void {
  const { type, id } = message;
  const leaveQueue = () => {
    if (type !== 'hello') context.queues.settled(connection.hostId);
  };
  const { hostId } = connection;
  const stored =
    message.type === 'hello'
      ? hello(connection, message, context)
      : submitMessage(hostId, message, context);
  stored.then(
    (result) => {
      leaveQueue();
      if (result === 'gone') closeFor(connection, 'removed', context);
      else if (result instanceof ProtocolError) {
        result.id = id;
        refuse(connection, result, context);
      } else if (id !== undefined && type !== 'hello') connection.send(ackMessage(id));
    },
    // The message is not stored and not acknowledged. The agent reconnects and sends it again.
    () => {
      leaveQueue();
      closeFor(connection, 'store_unavailable', context);
    },
  );
}

async function hello(
  connection: AgentConnection,
  { agent }: Hello,
  { store }: MessageContext,
): Promise<SubmitResult> {
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
