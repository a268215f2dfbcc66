import { beforeEach, describe, expect, it } from 'vitest';
import { AgentConnection } from '../../../src/loop/agents/connection.ts';
import { refuse } from '../../../src/loop/agents/messages.ts';
import { ProtocolError, type ProtocolErrorCode } from '../../../src/loop/agents/protocol-error.ts';
import { closeFor, noteRefusedMessage } from '../../../src/loop/agents/refusals.ts';
import type { EventLog } from '../../../src/platform/event-log.ts';
import { ServerStats } from '../../../src/shared/server-stats.ts';

const HOST_ID = '01J8ZQ4X3N0000000000000000';
const SENDER = { hostId: HOST_ID, host: 'web', address: '192.0.2.1' };

let logged: unknown[][];
const warn = (...line: unknown[]) => void logged.push(line);
const context = { stats: ServerStats.create().writer(), events: { warn } as unknown as EventLog };

beforeEach(() => {
  logged = [];
});

function errorOf(code: ProtocolErrorCode, id?: string): ProtocolError {
  const error = new ProtocolError(code, 'kind: must be one of backup');
  error.id = id;
  return error;
}

describe('the log says of a refused message', () => {
  it('whose it was, why, and its id', () => {
    noteRefusedMessage(SENDER, errorOf('unknown_kind', 'message-7'), context);
    expect(logged).toEqual([
      [
        'agent_message_refused',
        {
          host_id: HOST_ID,
          host: 'web',
          address: '192.0.2.1',
          code: 'unknown_kind',
          id: 'message-7',
        },
        'agent message refused: kind: must be one of backup',
      ],
    ]);
  });

  it('no name and no id where there is none', () => {
    noteRefusedMessage({ ...SENDER, host: undefined }, errorOf('bad_message'), context);
    expect(Object.keys(logged[0]?.[1] ?? {})).toEqual(['host_id', 'address', 'code']);
  });

  it('a conflict under a name of its own, so that other messages do not hide a lost job', () => {
    noteRefusedMessage(SENDER, errorOf('job_conflict', 'message-8'), context);
    expect(logged).toMatchObject([
      ['agent_job_conflict', { id: 'message-8' }, expect.stringContaining('refused')],
    ]);
  });
});

describe('the log says of a connection that the server closes', () => {
  it.each([
    ['bad_hello', 4001],
    ['removed', 4002],
    ['token_replaced', 4002],
    ['replaced', 4000],
    ['silent', 1001],
    ['store_unavailable', 1013],
    ['too_many_bad_messages', 4003],
    ['too_many_messages', 1008],
    ['too_many_unanswered', 1013],
  ] as const)('the close code of %s, which is %i', (reason, code) => {
    closeFor(new AgentConnection(1, HOST_ID, '192.0.2.1'), reason, context);
    expect(logged).toEqual([
      [`agent_${reason}`, expect.objectContaining({ code }), expect.any(String)],
    ]);
  });

  it('whose it was, why, and the close code, but nothing once it is closed', () => {
    const connection = new AgentConnection(1, HOST_ID, '192.0.2.1');
    connection.host = 'web';
    closeFor(connection, 'silent', context);
    connection.left();
    closeFor(connection, 'silent', context);
    expect(logged).toEqual([
      [
        'agent_silent',
        { host_id: HOST_ID, host: 'web', address: '192.0.2.1', code: 1001 },
        'agent connection closed: no message in time',
      ],
    ]);
  });
});

describe('the twenty-first error within a minute', () => {
  it.each<[ProtocolErrorCode, boolean]>([
    ['bad_message', true],
    ['bad_time', true],
    ['hello_required', true],
    ['protocol_too_new', true],
    ['protocol_too_old', true],
    // A newer agent may say what this server does not know.
    ['unknown_job', false],
    ['unknown_kind', false],
    ['unknown_status', false],
    ['unknown_type', false],
    // The message is in order; an earlier one may not be.
    ['job_conflict', false],
  ])('of %s closes the connection: %s', (code, closes) => {
    const connection = new AgentConnection(1, HOST_ID, '192.0.2.1');
    connection.greet();
    for (let n = 0; n < 20; n++) refuse(connection, errorOf(code), context);
    expect(connection.isEnded).toBe(false);
    refuse(connection, errorOf(code), context);
    expect(connection.isEnded).toBe(closes);
  });
});
