import { MAX_REPORT_MESSAGES } from './limits.ts';
import {
  type AgentMessage,
  MAX_MESSAGE_BYTES,
  parseAgentMessage,
  readEnvelope,
  tooLong,
  tooLongEnvelope,
} from './protocol.ts';
import { ProtocolError } from './protocol-error.ts';

/** The body of a request cannot be accepted as a whole. */
export class BodyError extends Error {
  readonly code: 400 | 413;

  constructor(code: 400 | 413, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads the messages of a request: a JSON array of envelopes, or one envelope per line
 * (`application/x-ndjson`). Without one of these content types the first character decides, because a
 * plain `curl --data` sends another one. Bytes that are not UTF-8 become U+FFFD: an error of restic may contain
 * a file name that is not UTF-8, and it must not be lost because of that.
 * @param contentType in lower case, without parameters
 * @returns each message, or the error with which it must be answered, in the order of the body
 * @throws BodyError 400 if the body is neither, 413 if it has too many messages
 */
export function readMessages(
  body: Buffer,
  contentType: string,
): readonly (AgentMessage | ProtocolError)[] {
  const text = body.toString();
  const start = text.trimStart()[0];
  const isLines =
    contentType === 'application/x-ndjson' || (contentType !== 'application/json' && start === '{');
  return isLines ? readLines(text) : readArray(text, body.length);
}

function readLines(text: string): (AgentMessage | ProtocolError)[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  checkNumber(lines.length);
  const messages = lines.map((line) =>
    isTooLong(line) ? tooLong(line) : orError(() => parseAgentMessage(line)),
  );
  // Parses the lines again only if all of them are bad.
  const isAllBad =
    lines.length > 0 && messages.every((message) => message instanceof ProtocolError);
  if (isAllBad && !lines.some(isJson)) {
    throw new BodyError(400, 'the body must have one JSON object per line');
  }
  return messages;
}

function readArray(text: string, bytes: number): (AgentMessage | ProtocolError)[] {
  const envelopes = parseArray(text);
  checkNumber(envelopes.length);
  // Few bodies are large enough to contain a message that is too long, so few are written again.
  const mayBeTooLong = bytes > MAX_MESSAGE_BYTES;
  return envelopes.map((envelope) =>
    mayBeTooLong && isTooLong(textOf(envelope))
      ? tooLongEnvelope(envelope)
      : orError(() => readEnvelope(envelope)),
  );
}

/** A message that is nested too deeply to be written again counts as too long. */
function textOf(envelope: unknown): string {
  try {
    return JSON.stringify(envelope);
  } catch {
    return ' '.repeat(MAX_MESSAGE_BYTES + 1);
  }
}

function parseArray(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return value;
  } catch {
    // Not JSON at all, so it gets the same error as below.
  }
  throw new BodyError(
    400,
    'the body must be a JSON array of messages, or one message per line as application/x-ndjson',
  );
}

function checkNumber(messages: number): void {
  if (messages <= MAX_REPORT_MESSAGES) return;
  throw new BodyError(413, `the body must have at most ${MAX_REPORT_MESSAGES} messages`);
}

function isTooLong(message: string): boolean {
  return message.length > MAX_MESSAGE_BYTES || Buffer.byteLength(message) > MAX_MESSAGE_BYTES;
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

function orError(read: () => AgentMessage): AgentMessage | ProtocolError {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}
