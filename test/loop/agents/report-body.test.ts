import { describe, expect, it } from 'vitest';
import { MAX_REPORT_MESSAGES } from '../../../src/loop/agents/limits.ts';
import { MAX_MESSAGE_BYTES } from '../../../src/loop/agents/protocol.ts';
import { ProtocolError } from '../../../src/loop/agents/protocol-error.ts';
import { type BodyError, readMessages } from '../../../src/loop/agents/report-body.ts';

const BEAT = '{"type":"heartbeat","payload":{"sent_at":"2026-01-02T03:04:05Z"}}';

/** The type of each message, or the code of its error. */
function read(body: string, contentType = ''): (string | undefined)[] {
  return readMessages(Buffer.from(body), contentType).map((message) =>
    message instanceof ProtocolError ? message.code : message.type,
  );
}

function codeOf(body: string, contentType = ''): number {
  try {
    readMessages(Buffer.from(body), contentType);
  } catch (error) {
    return (error as BodyError).code;
  }
  throw new Error('the body was accepted');
}

describe('a body', () => {
  it.each([
    ['application/json', `[${BEAT}]`],
    ['application/x-ndjson', BEAT],
    ['application/x-ndjson', `${BEAT}\r\n`],
    // As `curl --data` sends it.
    ['application/x-www-form-urlencoded', BEAT],
    ['application/x-www-form-urlencoded', ` \n${BEAT}`],
    ['application/x-www-form-urlencoded', ` \n[${BEAT}]`],
    ['', `[${BEAT}]`],
  ])('of type %j may be %j', (contentType, body) => {
    expect(read(body, contentType)).toEqual(['heartbeat']);
  });

  it.each([
    ['application/json', BEAT],
    ['application/x-ndjson', 'no JSON\n'],
    ['', 'no JSON'],
    ['', '"heartbeat"'],
  ])('of type %j cannot be %j', (contentType, body) => {
    expect(codeOf(body, contentType)).toBe(400);
  });

  it('of lines that are all JSON, but no messages, is answered line by line', () => {
    expect(read('{}\n\n7\n', 'application/x-ndjson')).toEqual(['bad_message', 'bad_message']);
  });

  it.each(['', '\n', ' \r\n\n'])(
    'of lines without a message, %j, is one without messages',
    (body) => {
      expect(read(body, 'application/x-ndjson')).toEqual([]);
    },
  );

  it('with a line that is no JSON is accepted for the sake of the others', () => {
    expect(read(`no JSON\n${BEAT}\n`, 'application/x-ndjson')).toEqual([
      'bad_message',
      'heartbeat',
    ]);
  });

  it.each([
    ['application/json', (messages: string[]) => `[${messages}]`],
    ['application/x-ndjson', (messages: string[]) => messages.join('\n')],
  ])('of type %s may have 1,000 messages, and not one more', (contentType, bodyOf) => {
    const messages = (count: number) => bodyOf(Array<string>(count).fill(BEAT));
    expect(read(messages(MAX_REPORT_MESSAGES), contentType)).toHaveLength(1_000);
    expect(codeOf(messages(MAX_REPORT_MESSAGES + 1), contentType)).toBe(413);
  });
});

describe('a message in a body', () => {
  /** A message of this many bytes, most of them in characters of three bytes. */
  function ofBytes(bytes: number): string {
    const [start, end] = ['{"id":"long","type":"heartbeat","payload":{"sent_at":"', '"}}'];
    const room = bytes - start.length - end.length;
    return start + '€'.repeat(Math.floor(room / 3)) + 'x'.repeat(room % 3) + end;
  }

  it.each([
    ['application/json', (message: string) => `[${message}]`],
    ['application/x-ndjson', (message: string) => message],
  ])('of type %s may have 256 KiB, counted in bytes', (contentType, bodyOf) => {
    expect(read(bodyOf(ofBytes(MAX_MESSAGE_BYTES)), contentType)).toEqual(['bad_time']);
    const [message] = readMessages(
      Buffer.from(bodyOf(ofBytes(MAX_MESSAGE_BYTES + 1))),
      contentType,
    );
    expect(message).toMatchObject({
      code: 'bad_message',
      id: 'long',
      message: expect.stringContaining('262144 bytes'),
    });
  });

  it.each([
    ['application/json', (messages: string[]) => `[${messages}]`],
    ['application/x-ndjson', (messages: string[]) => messages.join('\n')],
  ])(
    'of type %s that is too long and has a bad id does not spoil the others',
    (contentType, bodyOf) => {
      const long = JSON.stringify({ id: 'x'.repeat(65), pad: 'x'.repeat(MAX_MESSAGE_BYTES) });
      const [first, second] = readMessages(Buffer.from(bodyOf([long, BEAT])), contentType);
      expect(first).toMatchObject({ code: 'bad_message', id: undefined });
      expect(second).toMatchObject({ type: 'heartbeat' });
    },
  );
});
