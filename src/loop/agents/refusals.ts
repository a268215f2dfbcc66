import type { EventLog } from '../../platform/event-log.ts';
import type { Refusal, StatsWriter } from '../../shared/server-stats.ts';
import type { AgentConnection } from './connection.ts';
import { CLOSE } from './protocol.ts';
import type { ProtocolError } from './protocol-error.ts';

export interface RefusalContext {
  readonly stats: StatsWriter;
  readonly events: EventLog;
}

interface Closing {
  readonly code: number;
  /** For the agent and the log. */
  readonly text: string;
}

/** Reasons for which the server ends a connection, with the close code and the text. */
const CLOSINGS = {
  bad_hello: { code: CLOSE.badHello, text: 'bad hello' },
  removed: { code: CLOSE.removed, text: 'host removed' },
  token_replaced: { code: CLOSE.removed, text: 'token replaced' },
  replaced: {
    code: CLOSE.replaced,
    text: 'replaced by a newer connection',
  },
  silent: { code: CLOSE.silent, text: 'no message in time' },
  store_unavailable: {
    code: CLOSE.tryAgainLater,
    text: 'the store is not available',
  },
  too_many_bad_messages: {
    code: CLOSE.tooManyBadMessages,
    text: 'too many bad messages',
  },
  too_many_messages: {
    code: CLOSE.tooManyMessages,
    text: 'too many messages at once',
  },
  too_many_unanswered: {
    code: CLOSE.tryAgainLater,
    text: 'too many unanswered messages',
  },
} as const satisfies Partial<Record<Refusal, Closing>>;

/** Reasons for which uWebSockets.js ends a connection. */
const CLOSED_BY_UWS = {
  bad_frame: 'the agent sent an invalid or too long WebSocket message',
  unread_answers: 'the agent does not read its answers',
} as const;

/** Ends a connection. Logs and counts the reason. */
export function closeFor(
  connection: AgentConnection,
  reason: keyof typeof CLOSINGS,
  context: RefusalContext,
  detail?: string,
): void {
  if (connection.state === 'closed') return;
  const { code, text } = CLOSINGS[reason];
  noteRefusal(connection, reason, context, { code });
  connection.end(code, detail ?? text);
}

/** Who sent a message. */
export interface Sender {
  readonly hostId: string;
  /** Undefined if the loop does not know the name. */
  readonly host?: string | undefined;
  readonly address: string;
}

/** Logs and counts a refused message. A conflict has its own event, because that job is lost. */
export function noteRefusedMessage(
  sender: Sender,
  { code, message, id }: ProtocolError,
  { stats, events }: RefusalContext,
): void {
  stats.refusal(code);
  const event = code === 'job_conflict' ? 'agent_job_conflict' : 'agent_message_refused';
  const fields = { ...fieldsOf(sender), code, ...(id !== undefined && { id }) };
  events.warn(event, fields, `agent message refused: ${message}`);
}

/** Logs and counts the reason for which a connection ends. */
export function noteRefusal(
  connection: AgentConnection,
  reason: keyof typeof CLOSINGS | keyof typeof CLOSED_BY_UWS,
  { stats, events }: RefusalContext,
  fields: object = {},
): void {
  stats.refusal(reason);
  const text =
    reason in CLOSINGS
      ? CLOSINGS[reason as keyof typeof CLOSINGS].text
      : CLOSED_BY_UWS[reason as keyof typeof CLOSED_BY_UWS];
  const about = { ...fieldsOf(connection), ...fields };
  events.warn(`agent_${reason}`, about, `agent connection closed: ${text}`);
}

export function fieldsOf({ hostId, host, address }: Sender): object {
  return { host_id: hostId, ...(host !== undefined && { host }), address };
}
