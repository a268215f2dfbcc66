import { beforeEach, describe, expect, it } from 'vitest';
import { AgentConnection } from '../../../src/loop/agents/connection.ts';
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
