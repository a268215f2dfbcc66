import { describe, expect, it } from 'vitest';
import {
  ackMessage,
  errorMessage,
  type Hello,
  parseAgentMessage,
  welcomeMessage,
} from '../../../src/loop/agents/protocol.ts';
import { ProtocolError } from '../../../src/loop/agents/protocol-error.ts';

const TIME = '2026-01-02T03:04:05.678Z';
const TIME_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Everything that is not the text such a field has. */
const NO_STRING = [0, 1, true, {}, [], ['a']];
const NO_ID = ['', 'x'.repeat(65), ...NO_STRING];
const NO_WHOLE_NUMBER = ['1', 1.5, 2 ** 53, true, {}, [1]];
const NO_COUNT = [...NO_WHOLE_NUMBER, -1];
const NO_TIME = ['', 'now', '2026-01-02T03:04:05', '2026-02-30T00:00:00Z', TIME_MS, {}, []];

/** A field: a good value, what it is read as, under which name, and what is wrong, by code. */
interface Field {
  readonly good: unknown;
  readonly read?: unknown;
  readonly as?: string;
  readonly wrong: Readonly<Record<string, readonly unknown[]>>;
}

interface MessageType {
  readonly required: Readonly<Record<string, Field>>;
  readonly optional: Readonly<Record<string, Field>>;
}

const text = (good: string, as?: string): Field => ({
  good,
  ...(as !== undefined && { as }),
  wrong: { bad_message: NO_STRING },
});
const time = (as: string): Field => ({
  good: TIME,
  read: TIME_MS,
  as,
  wrong: { bad_time: NO_TIME },
});
const jobTime = (as: string): Field => ({
  ...time(as),
  wrong: {
    bad_time: [
      ...NO_TIME,
      '1999-12-31T23:59:59.999Z',
      '1970-01-01T00:00:00Z',
      '0001-01-01T00:00:00Z',
      '0000-01-01T00:00:00Z',
    ],
  },
});
const jobId: Field = { good: 'job-1', as: 'jobId', wrong: { bad_message: NO_ID } };
const kind: Field = {
  good: 'backup',
  wrong: {
    bad_message: NO_STRING,
    unknown_kind: ['', 'Backup', 'backup ', 'copy', 'toString', '__proto__'],
  },
};
const status: Field = {
  good: 'succeeded',
  wrong: {
    bad_message: NO_STRING,
    unknown_status: ['', 'success', 'Succeeded', 'running', 'constructor'],
  },
};
const count = (as: string): Field => ({ good: 17, as, wrong: { bad_message: NO_COUNT } });

const TYPES: Readonly<Record<string, MessageType>> = {
  hello: {
    required: {
      protocol_version: {
        good: 1,
        wrong: {
          bad_message: NO_WHOLE_NUMBER,
          protocol_too_old: [0, -1],
          protocol_too_new: [2, 1000],
        },
      },
      agent_version: text('1.2.3', 'agentVersion'),
      hostname: text('web-1', 'hostname'),
    },
    optional: {
      restic_version: text('0.18.1', 'resticVersion'),
      os: text('linux', 'os'),
      arch: text('amd64', 'arch'),
      boot_time: time('bootTimeMs'),
      backup_interval_seconds: {
        good: 86_400,
        as: 'backupIntervalSeconds',
        wrong: { bad_message: [0, ...NO_COUNT] },
      },
    },
  },
  heartbeat: { required: { sent_at: time('sentAtMs') }, optional: {} },
  'job.started': {
    required: { job_id: jobId, kind, started_at: jobTime('startedAtMs') },
    optional: {},
  },
  'job.finished': {
    required: { job_id: jobId, status, finished_at: jobTime('finishedAtMs') },
    optional: {
      exit_code: { good: -1, as: 'exitCode', wrong: { bad_message: NO_WHOLE_NUMBER } },
      error: text('repository is locked'),
      summary: {
        good: { bytes_added: 5, files_unreadable: 0, snapshot_id: '4a1cfd12', new: 1 },
        read: { bytesAdded: 5, filesUnreadable: 0, snapshotId: '4a1cfd12' },
        wrong: {
          bad_message: [
            1,
            'none',
            [],
            { bytes_added: -1 },
            { files_unreadable: '1' },
            { snapshot_id: 'no hex' },
            { snapshot_id: '' },
            { snapshot_id: 'a'.repeat(65) },
          ],
        },
      },
      kind,
      started_at: jobTime('startedAtMs'),
    },
  },
  'repo.stats': {
    required: {},
    optional: {
      total_size_bytes: count('totalSizeBytes'),
      snapshot_count: count('snapshotCount'),
      repo_status: {
        good: 'ready',
        as: 'repoStatus',
        wrong: { bad_message: ['', 'Ready', 'broken', ...NO_STRING] },
      },
    },
  },
};

const ALL = Object.entries(TYPES).map(
  ([type, { required, optional }]) => [type, required, optional] as const,
);

function goodOnes(fields: MessageType['required']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([field, { good }]) => [field, good]));
}

function goodPayload(type: string): Record<string, unknown> {
  return goodOnes(TYPES[type]?.required ?? {});
}

function without(payload: Record<string, unknown>, field: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).filter(([name]) => name !== field));
}

function parse(message: unknown) {
  return parseAgentMessage(JSON.stringify(message));
}

function refusalOfText(frame: string): ProtocolError {
  try {
    parseAgentMessage(frame);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${frame}`);
}

function refusal(message: unknown): ProtocolError {
  return refusalOfText(JSON.stringify(message));
}

/** The fields as the message has them once it is read. */
function asRead(fields: MessageType['required']): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([field, { good, read = good, as = field }]) => [as, read]),
  );
}

describe('good messages', () => {
  it('hello', () => {
    const { required, optional } = TYPES.hello ?? { required: {}, optional: {} };
    const { protocol_version: _, ...agent } = asRead(required);
    const nothing = Object.fromEntries(
      Object.keys(asRead(optional)).map((name) => [name, undefined]),
    );
    expect(parse({ type: 'hello', payload: goodOnes(required) })).toStrictEqual({
      id: undefined,
      type: 'hello',
      agent: { ...agent, ...nothing },
    });
    expect(
      parse({ type: 'hello', payload: { ...goodOnes(required), ...goodOnes(optional) } }),
    ).toEqual({ type: 'hello', agent: { ...agent, ...asRead(optional) } });
  });

  it('heartbeat', () => {
    // Not the agent's clock but the arrival of the message says that the agent is alive.
    expect(parse({ type: 'heartbeat', payload: { sent_at: TIME } })).toEqual({ type: 'heartbeat' });
  });

  it.each(ALL.filter(([type]) => type !== 'hello' && type !== 'heartbeat'))(
    '%s',
    (type, required, optional) => {
      expect(parse({ type, payload: goodOnes(required) })).toEqual({ type, ...asRead(required) });
      expect(
        parse({ type, id: 'm-1', payload: { ...goodOnes(required), ...goodOnes(optional) } }),
      ).toEqual({ type, id: 'm-1', ...asRead(required), ...asRead(optional) });
    },
  );

  it.each(['backup', 'check', 'diff', 'forget', 'init', 'prune', 'restore', 'unlock', 'update'])(
    'kind %s',
    (name) => {
      for (const type of ['job.started', 'job.finished']) {
        const payload = { ...goodPayload(type), kind: name };
        expect(parse({ type, payload })).toMatchObject({ kind: name });
      }
    },
  );

  it.each(['cancelled', 'failed', 'succeeded'])('status %s', (name) => {
    const payload = { ...goodPayload('job.finished'), status: name };
    expect(parse({ type: 'job.finished', payload })).toMatchObject({ status: name });
  });

  it.each(['unknown', 'ready', 'init_failed'])('repo status %s', (name) => {
    expect(parse({ type: 'repo.stats', payload: { repo_status: name } })).toMatchObject({
      repoStatus: name,
    });
  });

  it.each([0, 1, 2 ** 53 - 1])('a size of %i', (bytes) => {
    expect(parse({ type: 'repo.stats', payload: { total_size_bytes: bytes } })).toMatchObject({
      totalSizeBytes: bytes,
    });
  });

  it('texts of any length and script', () => {
    for (const long of ['', 'ü'.repeat(255), 'line\n\0"\\']) {
      const payload = { ...goodPayload('hello'), hostname: long, agent_version: long, os: long };
      expect(parse({ type: 'hello', payload })).toMatchObject({
        agent: { hostname: long, agentVersion: long, os: long },
      });
    }
  });

  it('texts of a hello are cut after 255 characters, and hold no half characters', () => {
    const long = '😀'.repeat(255);
    for (const hostname of [`${long}x`, long, `${long.slice(0, -2)}\ud83d`]) {
      const payload = { ...goodPayload('hello'), hostname };
      const read = hostname.endsWith('\ud83d') ? `${long.slice(0, -2)}\ufffd` : long;
      expect(parse({ type: 'hello', payload })).toMatchObject({ agent: { hostname: read } });
    }
  });

  it.each(['agent_version', 'hostname', 'restic_version', 'os', 'arch'])(
    'a long %s is cut at its end, so that it can be a label',
    (field) => {
      const payload = { ...goodPayload('hello'), [field]: `${'a'.repeat(300)}z\ud83d` };
      const { agent } = parse({ type: 'hello', payload }) as Hello;
      expect(Object.values(agent)).toContain('a'.repeat(255));
    },
  );

  it('the first moment of the year 2000 is a time that a job can have', () => {
    const payload = { ...goodPayload('job.started'), started_at: '2000-01-01T00:00:00Z' };
    expect(parse({ type: 'job.started', payload })).toMatchObject({
      startedAtMs: Date.UTC(2000, 0, 1),
    });
  });

  // As on a machine without a battery for its clock, before it has asked others for the time.
  it('a clock that was never set is no reason to refuse a hello or a heartbeat', () => {
    const never = '1970-01-01T00:00:05Z';
    const hello = { ...goodPayload('hello'), boot_time: never };
    expect(parse({ type: 'hello', payload: hello })).toMatchObject({
      agent: { bootTimeMs: 5_000 },
    });
    expect(parse({ type: 'heartbeat', payload: { sent_at: never } }).type).toBe('heartbeat');
  });

  it('times of any offset and with nanoseconds', () => {
    const payload = {
      ...goodPayload('job.started'),
      started_at: '2026-01-02T04:04:05.678901234+01:00',
    };
    expect(parse({ type: 'job.started', payload })).toMatchObject({ startedAtMs: TIME_MS });
  });
});

describe.each(ALL)('%s', (type, required, optional) => {
  const payload = goodOnes(required);

  it('unknown fields are ignored', () => {
    // By JSON.parse, for a `__proto__` like any other field.
    const strange = JSON.parse('{"__proto__":{"id":1,"error":1},"constructor":"x","new":[null]}');
    const message = { ...strange, type, payload: { ...strange, ...payload } };
    expect(JSON.stringify(message)).toContain('__proto__');
    expect(parse(message)).toEqual(parse({ type, payload }));
  });

  it.each(Object.keys(required))('%s is required', (field) => {
    expect(refusal({ type, id: 'm-1', payload: without(payload, field) })).toMatchObject({
      code: 'bad_message',
      message: `${field}: is missing`,
      id: 'm-1',
      type,
    });
    // null is how many an encoder writes a field that is not there, but this one must be.
    expect(() => parse({ type, payload: { ...payload, [field]: null } })).toThrow(ProtocolError);
  });

  const wrong = Object.entries({ ...required, ...optional }).flatMap(([field, row]) =>
    Object.entries(row.wrong).flatMap(([code, values]) =>
      values.map((value) => [field, value, code] as const),
    ),
  );

  it.runIf(wrong.length > 0).each(wrong)('%s: %j is %s', (field, value, code) => {
    expect(refusal({ type, id: 'm-1', payload: { ...payload, [field]: value } })).toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(`^${field}(\\.[a-z_]+)?: `)),
      id: 'm-1',
      type,
    });
  });

  const optionals = Object.keys(optional);

  it.runIf(optionals.length > 0).each(optionals)('%s may be null, the same as absent', (field) => {
    expect(parse({ type, payload: { ...payload, [field]: null } })).toEqual(
      parse({ type, payload }),
    );
  });

  it.each([undefined, null, [], [payload], 'text', 1, true])('a payload of %j is bad', (bad) => {
    expect(refusal({ type, id: 'm-1', payload: bad })).toMatchObject({
      code: 'bad_message',
      message: 'payload: must be an object',
      id: 'm-1',
      type,
    });
  });
});

describe('the envelope', () => {
  it.each([
    '',
    ' ',
    'hello',
    '{',
    '{"type":"heartbeat"',
    "{'type':'heartbeat'}",
    '{"type":"heartbeat",}',
    '{"type":"heartbeat"}{}',
    '\uFEFF{}',
    'null',
    'true',
    '1',
    '"heartbeat"',
    '[]',
    '[{"type":"heartbeat"}]',
  ])('%j is no message', (frame) => {
    expect(refusalOfText(frame)).toMatchObject({
      code: 'bad_message',
      id: undefined,
      type: undefined,
    });
  });

  it.each([undefined, null, 1, {}, ['heartbeat']])('a type of %j is bad', (type) => {
    expect(refusal({ type, id: 'm-1', payload: { sent_at: TIME } })).toMatchObject({
      code: 'bad_message',
      message: 'type: must be a string',
      id: 'm-1',
      type: undefined,
    });
  });

  it.each([
    '',
    'Hello',
    'hello ',
    'job',
    'job.paused',
    'welcome',
    'ack',
    'error',
    'constructor',
    '__proto__',
    'toString',
  ])('the type %j is unknown, whatever it carries', (type) => {
    for (const payload of [undefined, {}, 'text']) {
      expect(refusal({ type, id: 'm-1', payload })).toMatchObject({
        code: 'unknown_type',
        id: 'm-1',
        type,
      });
    }
  });
});

describe('ids', () => {
  const ASTRAL = '😀'; // one character in two units of UTF-16

  const GOOD: readonly [string, string][] = [
    ['1 character', 'x'],
    ['64 characters', 'x'.repeat(64)],
    ['64 characters outside the basic plane', ASTRAL.repeat(64)],
    ['any script', 'задача-一'],
    ['a space', ' '],
    ['quotes and newlines', '"\\\n'],
  ];
  const BAD: readonly [string, unknown][] = [
    ['no characters', ''],
    ['65 characters', 'x'.repeat(65)],
    ['65 characters outside the basic plane', ASTRAL.repeat(65)],
    ['a number', 1],
    ['a list', ['x']],
    ['a map', { id: 'x' }],
    ['true', true],
  ];

  it.each(GOOD)('of the message: %s', (_, id) => {
    expect(parse({ type: 'heartbeat', id, payload: { sent_at: TIME } }).id).toBe(id);
  });

  it.each(GOOD)('of the job: %s', (_, id) => {
    const payload = { ...goodPayload('job.started'), job_id: id };
    expect(parse({ type: 'job.started', payload })).toMatchObject({ jobId: id });
  });

  it.each([undefined, null])('a message may have none: %j', (id) => {
    expect(parse({ type: 'heartbeat', id, payload: { sent_at: TIME } }).id).toBeUndefined();
  });

  it.each(BAD)('a bad one is not sent back: %s', (_, id) => {
    const error = refusal({ type: 'hello', id, payload: goodPayload('hello') });
    expect(error).toMatchObject({ code: 'bad_message', id: undefined, type: 'hello' });
    expect(error.message).toBe('id: must be a string of 1 to 64 characters');
  });

  it.each(BAD)('a bad one of a job is refused: %s', (_, id) => {
    const payload = { ...goodPayload('job.finished'), job_id: id };
    expect(refusal({ type: 'job.finished', payload })).toMatchObject({ code: 'bad_message' });
  });
});

describe('what the server sends', () => {
  it('welcome', () => {
    expect(JSON.parse(welcomeMessage('01J0000000000000000000000A', 'web "1"\n'))).toEqual({
      type: 'welcome',
      payload: {
        host_id: '01J0000000000000000000000A',
        host: 'web "1"\n',
        heartbeat_seconds: 30,
      },
    });
  });

  it.each(['m-1', '"', '\\', '\n', '\u2028', '😀', '\ud800'])('ack of %j', (id) => {
    expect(JSON.parse(ackMessage(id))).toEqual({ type: 'ack', payload: { id } });
  });

  it('error, with the id only if the message had one', () => {
    const error = refusal({ type: 'job.paused', id: 'm-"1"', payload: {} });
    expect(JSON.parse(errorMessage(error))).toEqual({
      type: 'error',
      payload: {
        code: 'unknown_type',
        message: 'type: must be one of hello, heartbeat, job.started, job.finished, repo.stats',
        id: 'm-"1"',
      },
    });
    expect(JSON.parse(errorMessage(refusal({ type: 'job.paused' }))).payload).not.toHaveProperty(
      'id',
    );
  });

  it('an error repeats nothing of what a message said', () => {
    const loud = 'x'.repeat(60_000);
    for (const error of [
      refusal({ type: loud, payload: {} }),
      refusal({ type: 'job.started', payload: { ...goodPayload('job.started'), kind: loud } }),
      refusal({ type: 'heartbeat', payload: { sent_at: loud } }),
      refusal({ type: 'repo.stats', payload: { repo_status: loud } }),
      refusalOfText(loud),
    ]) {
      expect(errorMessage(error).length).toBeLessThan(500);
    }
  });
});

it('a snapshot id may have all 64 digits', () => {
  const payload = { job_id: 'a', status: 'succeeded', finished_at: '2026-01-02T03:04:05Z' };
  const summary = { snapshot_id: 'a'.repeat(64) };
  const text = JSON.stringify({ type: 'job.finished', payload: { ...payload, summary } });
  expect(parseAgentMessage(text)).toMatchObject({ summary: { snapshotId: 'a'.repeat(64) } });
});
