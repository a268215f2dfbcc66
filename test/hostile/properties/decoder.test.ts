import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AgentMessage,
  errorMessage,
  parseAgentMessage,
} from '../../../src/loop/agents/protocol.ts';
import { ProtocolError } from '../../../src/loop/agents/protocol-error.ts';

/*
 * What an agent sends is whatever somebody with a token likes to send. It is a message, or it is refused with a
 * ProtocolError; anything else that is thrown ends a socket loop with all agents of it.
 */

describe('any text', () => {
  test('is a message or refused by a ProtocolError, whose answer is JSON', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.string({
        unit: fc.constantFrom(...'{}[]",:\\u0e-.tfn \n', '"type"', '"payload"', 'null'),
      }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        decode(text);
      }),
      { numRuns: 10_000 },
    );
  });

  test('that is nearly a good message is a message or refused', () => {
    fc.assert(
      fc.property(
        anyMessage,
        fc.nat(),
        fc.nat({ max: 8 }),
        fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0e-.tfn \n\0') }),
        ({ sent }, at, cut, insert) => {
          const text = JSON.stringify(sent);
          const start = at % (text.length + 1);
          decode(text.slice(0, start) + insert + text.slice(start + cut));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test.each([
    ['lists', '[', ']'],
    ['maps', '{"a":', '}'],
    ['payloads', '{"payload":', '}'],
    ['prototypes', '{"__proto__":', '}'],
  ])('of %s nested ever so deep overflows no stack', (_, open, close) => {
    for (const depth of [1_000, 100_000]) {
      const deep = `${open.repeat(depth)}1${close.repeat(depth)}`;
      decode(deep);
      decode(open.repeat(depth));
      for (const { type, payload } of GOOD) {
        const good = JSON.stringify(payload);
        for (const field of ['extra', '__proto__', ...Object.keys(payload)]) {
          const fields = `${good.slice(1, -1)},"${field}":${deep}`;
          decode(`{"type":"${type}","id":"m-1","payload":{${fields}}}`);
        }
        decode(`{"type":"${type}","id":${deep},"payload":${good}}`);
        decode(`{"type":"${type}","id":"m-1","payload":${deep}}`);
        decode(`{"type":${deep},"id":"m-1","payload":${good}}`);
      }
    }
  });

  // What backtracks, or copies all at each step, would not end before the patience of a test does.
  test('as long as a frame may be takes no longer for being nasty', () => {
    const LENGTH = 256 * 1_024;
    for (const unit of ['2', '2026-01-02T', ' ', '\u{1f5c4}', '\ud800', '\0', '"', '\\', '0.']) {
      const long = unit.repeat(LENGTH / unit.length);
      for (const { type, payload } of GOOD) {
        for (const field of Object.keys(payload)) {
          decode(JSON.stringify({ type, id: 'm-1', payload: { ...payload, [field]: long } }));
        }
        decode(JSON.stringify({ type, id: long, payload }));
        decode(JSON.stringify({ type: long, id: 'm-1', payload }));
        decode(JSON.stringify({ type, id: 'm-1', payload, [long]: long }));
      }
      decode(long);
    }
    const fields = Array.from({ length: 20_000 }, (_, n) => `"f${n}":${n}`).join();
    decode(`{"type":"heartbeat",${fields},"payload":{${fields}}}`);
  });
});

describe('a message with any JSON value in any field', () => {
  test('is a message or refused, and the refusal has its readable id', () => {
    fc.assert(
      fc.property(anyMessage, anyId, fc.nat(), anyValue, ({ sent }, id, which, value) => {
        const fields = Object.keys(FIELDS[sent.type] ?? {});
        const field = fields[which % fields.length] ?? '';
        const payload = { ...sent.payload, [field]: value };
        const decoded = decode(JSON.stringify({ ...sent, id, payload }));
        expect(decoded.id).toBe(id);
        if (decoded instanceof ProtocolError) {
          expect(decoded.type).toBe(sent.type);
          expect(decoded.message.startsWith(`${field}: `)).toBe(true);
          // The same answer if it is sent again.
          const again = decode(JSON.stringify({ ...sent, id, payload }));
          expect(again).toMatchObject({ code: decoded.code, message: decoded.message });
        }
      }),
      { numRuns: 10_000 },
    );
  });

  test('or any such payload or type is a message or refused, and the refusal has its readable id', () => {
    fc.assert(
      fc.property(
        anyMessage,
        anyId,
        fc.constantFrom('payload', 'type'),
        anyValue,
        ({ sent }, id, field, value) => {
          expect(decode(JSON.stringify({ ...sent, id, [field]: value })).id).toBe(id);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('or any such id has the id that was sent, or none and is refused', () => {
    fc.assert(
      fc.property(anyMessage, anyValue, ({ sent }, id) => {
        const decoded = decode(JSON.stringify({ ...sent, id }));
        const isId =
          typeof id === 'string' && id.isWellFormed() && id !== '' && [...id].length <= 64;
        expect(decoded.id).toBe(isId ? id : undefined);
        if (!isId && id !== null) expect(decoded).toMatchObject({ code: 'bad_message' });
        else expect(decoded).not.toBeInstanceOf(ProtocolError);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('a good message', () => {
  test('is decoded to the very fields it was encoded from, in whatever order they come', () => {
    fc.assert(
      fc.property(anyMessage, fc.func(fc.integer()), fc.boolean(), (message, rank, spaced) => {
        const shuffled = (fields: object) =>
          Object.fromEntries(Object.entries(fields).toSorted(([a], [b]) => rank(a) - rank(b)));
        const sent = shuffled({ ...message.sent, payload: shuffled(message.sent.payload) });
        expect(decode(JSON.stringify(sent, null, spaced ? '\t' : ''))).toMatchObject(message.read);
      }),
      { numRuns: 5_000 },
    );
  });

  test('is the same with any unknown fields as without', () => {
    const unknown = fc
      .dictionary(fc.oneof(fc.string(), fc.constantFrom(...PROTOTYPE_NAMES)), anyValue, {
        maxKeys: 5,
      })
      .map((fields) => Object.entries(fields).filter(([name]) => !KNOWN_NAMES.has(name)));
    fc.assert(
      fc.property(anyMessage, unknown, unknown, ({ sent }, beside, within) => {
        const text = withFields(
          {
            ...sent,
            payload: JSON.parse(withFields(sent.payload, within)),
          },
          beside,
        );
        expect(decode(text)).toEqual(decode(JSON.stringify(sent)));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('names that every object has', () => {
  test('are no type, no kind and no status, alone or with any good fields', () => {
    for (const name of PROTOTYPE_NAMES) {
      for (const { payload } of GOOD) {
        expect(decode(JSON.stringify({ type: name, id: 'm-1', payload }))).toMatchObject({
          code: 'unknown_type',
          id: 'm-1',
        });
      }
      for (const [type, field, code] of [
        ['job.started', 'kind', 'unknown_kind'],
        ['job.finished', 'kind', 'unknown_kind'],
        ['job.finished', 'status', 'unknown_status'],
        ['repo.stats', 'repo_status', 'bad_message'],
      ] as const) {
        const good = GOOD.find((message) => message.type === type)?.payload;
        const text = JSON.stringify({ type, id: 'm-1', payload: { ...good, [field]: name } });
        expect(decode(text)).toMatchObject({ code, id: 'm-1' });
      }
    }
  });

  test('bring no field of a message, whatever they are set to', () => {
    fc.assert(
      fc.property(anyMessage, fc.constantFrom(...PROTOTYPE_NAMES), ({ sent }, name) => {
        // All that is good is there, but one floor below.
        const below = JSON.stringify(sent.payload);
        const envelope = `"type":"${sent.type}","id":"m-1"`;
        const needed = Object.values(FIELDS[sent.type] ?? {}).includes('required');
        const decoded = decode(`{${envelope},"payload":{"${name}":${below}}}`);
        if (needed) expect(decoded).toMatchObject({ code: 'bad_message', id: 'm-1' });
        else expect(decoded).toEqual(decode(`{${envelope},"payload":{}}`));
        expect(decode(`{${envelope},"${name}":{"payload":${below}}}`)).toMatchObject({
          code: 'bad_message',
          message: 'payload: must be an object',
        });
        expect(decode(`{"${name}":{${envelope}},"payload":${below}}`)).toMatchObject({
          code: 'bad_message',
          message: 'type: must be a string',
          id: undefined,
        });
      }),
      { numRuns: 1_000 },
    );
  });

  test('leave every object as it was', () => {
    const names = () => Object.getOwnPropertyNames(Object.prototype).toSorted();
    const before = names();
    for (const { type, payload } of GOOD) {
      for (const trick of [
        '"__proto__":{"polluted":1}',
        '"constructor":{"prototype":{"polluted":1}}',
      ]) {
        const others = JSON.stringify(payload).slice(1, -1);
        decode(`{"type":"${type}",${trick},"payload":{${others}${others && ','}${trick}}}`);
      }
    }
    expect(names()).toEqual(before);
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('the error text of a job', () => {
  test('is kept to its last 4,096 characters, whatever they are made of', () => {
    const piece = fc.tuple(
      fc.oneof(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 5 }),
        fc.constantFrom('x', 'é', '\u{1f5c4}', '\ud83d', '\udc00', '\udc00\ud83d', 'a\u{1f5c4}'),
      ),
      fc.nat({ max: 5_000 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 5 }),
        fc.integer({ min: -3, max: 3 }),
        (pieces, by) => {
          const loose = pieces.map(([text, times]) => text.repeat(times)).join('');
          expectEnd(loose);
          // Also just about as long as what is kept: there, one character too many or too few would show.
          const characters = [...loose];
          expectEnd(characters.slice(0, 4_096 + by).join(''));
          // Of units of UTF-16, too.
          expectEnd(loose.slice(0, 4_096 + by));
          expectEnd(loose.slice(0, 8_192 + by));
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each([4_094, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193])(
    'of %i characters is cut where it is too long, and within no pair',
    (length) => {
      for (const text of ['x'.repeat(length), '\u{1f5c4}'.repeat(length)]) {
        for (const end of ['', 'y', '\u{1f5c4}', 'y\u{1f5c4}']) {
          const decoded = expectEnd(text + end);
          expect(decoded.isWellFormed()).toBe(true);
        }
      }
    },
  );

  function expectEnd(error: string): string {
    const payload = { ...goodPayload('job.finished'), error };
    const decoded = decode(JSON.stringify({ type: 'job.finished', payload }));
    const end = [...error].slice(-4_096).join('');
    if (!('error' in decoded) || decoded.error === undefined) throw new Error('no error text');
    expect(decoded.error === end, `of ${error.length} units, the last 4,096 characters`).toBe(true);
    return decoded.error;
  }
});

/** @throws what is neither a message nor a refusal */
function decode(text: string): AgentMessage | ProtocolError {
  try {
    const message = parseAgentMessage(text);
    expect(message.type in FIELDS).toBe(true);
    return message;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const { code, id } = error;
    expect(JSON.parse(errorMessage(error))).toEqual({
      type: 'error',
      payload: { code, message: error.message, ...(id !== undefined && { id }) },
    });
    return error;
  }
}

const TIME = '2026-01-02T03:04:05.678Z';

/** Section 6 of interfaces.md. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, 'required' | 'optional'>>>> = {
  hello: {
    protocol_version: 'required',
    agent_version: 'required',
    hostname: 'required',
    restic_version: 'optional',
    os: 'optional',
    arch: 'optional',
    boot_time: 'optional',
  },
  heartbeat: { sent_at: 'required' },
  'job.started': { job_id: 'required', kind: 'required', started_at: 'required' },
  'job.finished': {
    job_id: 'required',
    status: 'required',
    finished_at: 'required',
    exit_code: 'optional',
    error: 'optional',
    kind: 'optional',
    started_at: 'optional',
  },
  'repo.stats': {
    total_size_bytes: 'optional',
    snapshot_count: 'optional',
    repo_status: 'optional',
  },
};

/** All names that a message may come to know, so that none of them is taken for an unknown one. */
const KNOWN_NAMES = new Set([
  ...['type', 'id', 'payload', 'backup_interval_seconds', 'summary'],
  ...Object.values(FIELDS).flatMap((fields) => Object.keys(fields)),
]);

const PROTOTYPE_NAMES = [
  ...Object.getOwnPropertyNames(Object.prototype),
  ...['prototype', 'length', 'size', 'get', 'has', 'keys', 'toJSON', 'then', 'name', '0', ''],
];

/** One good message of each type, with every field. */
const GOOD = [
  {
    type: 'hello',
    payload: {
      ...{ protocol_version: 1, agent_version: '1.2.3', hostname: 'web-1' },
      ...{ restic_version: '0.18.1', os: 'linux', arch: 'amd64', boot_time: TIME },
    },
  },
  { type: 'heartbeat', payload: { sent_at: TIME } },
  { type: 'job.started', payload: { job_id: 'job-1', kind: 'backup', started_at: TIME } },
  {
    type: 'job.finished',
    payload: {
      ...{ job_id: 'job-1', status: 'failed', finished_at: TIME, exit_code: 1, error: 'locked' },
      ...{ kind: 'backup', started_at: TIME },
    },
  },
  {
    type: 'repo.stats',
    payload: { total_size_bytes: 1, snapshot_count: 1, repo_status: 'ready' },
  },
] as const;

function goodPayload(type: string): object {
  return GOOD.find((message) => message.type === type)?.payload ?? {};
}

/** As text, since `__proto__` is a field of JSON but not of an object literal. */
function withFields(fields: object, more: readonly (readonly [string, unknown])[]): string {
  return `{${[...Object.entries(fields), ...more]
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join()}}`;
}

const anyId = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((id) => [...id].length <= 64),
  fc.constantFrom('x'.repeat(64), '\u{1f5c4}'.repeat(64), '"\\\n\0', '__proto__'),
);

const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ noUnicodeString: false }),
  fc.constantFrom(null, true, -0, 1e308, -1e308, 5e-324, 2 ** 53, -(2 ** 53), '', '0', [], {}),
  fc.constantFrom('\ud800', '\udc00\ud800', '\0', 'x'.repeat(65), 'x'.repeat(5_000)),
  fc.constantFrom(...PROTOTYPE_NAMES),
  fc.constantFrom(TIME, 'backup', 'succeeded', 'ready', 1, 0),
  fc.string({ unit: 'binary' }),
);

/** A time as it is sent, and the milliseconds that are read. */
const timeBetween = (min: number, max: number) =>
  fc
    .record({
      ms: fc.integer({ min, max }),
      digits: fc.nat({ max: 9 }),
      offset: fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
      zulu: fc.constantFrom('Z', 'z', ''),
      t: fc.constantFrom('T', 't'),
    })
    .map(({ ms, digits, offset, zulu, t }) => {
      const kept = digits === 0 ? ms - (ms % 1_000) : ms - (ms % 10 ** Math.max(0, 3 - digits));
      const local = new Date(zulu === '' ? kept + offset * 60_000 : kept).toISOString();
      const fraction =
        digits === 0 ? '' : `.${local.slice(20, 23).padEnd(9, '7').slice(0, digits)}`;
      const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
      const twoDigits = (n: number) => String(n).padStart(2, '0');
      const zone = zulu || `${offset < 0 ? '-' : '+'}${twoDigits(hours)}:${twoDigits(minutes)}`;
      return {
        sent: `${local.slice(0, 10)}${t}${local.slice(11, 19)}${fraction}${zone}`,
        read: kept,
      };
    });

const anyTime = timeBetween(Date.UTC(2000, 0, 2), Date.UTC(2026, 0, 1));
/** Any two of them are so close that a job may have taken from one to the other. */
const anyTimeOfJob = timeBetween(Date.UTC(2025, 5, 1), Date.UTC(2026, 0, 1));

/** Well within every bound on lengths. */
const anyText = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((text) => [...text].length <= 255)
  .map((text) => ({ sent: text, read: text }));
const same = <T>(values: fc.Arbitrary<T>) => values.map((value) => ({ sent: value, read: value }));
const anyKind = same(
  fc.constantFrom(
    ...['backup', 'check', 'diff', 'forget', 'init', 'prune', 'restore', 'unlock', 'update'],
  ),
);
const anyJobStatus = same(fc.constantFrom('cancelled', 'failed', 'succeeded'));
const anyCount = same(fc.maxSafeNat());

type Coded = { readonly sent: unknown; readonly read: unknown };
type Field = readonly [name: string, as: string, values: fc.Arbitrary<Coded>];

/** A payload and what it is read as. Optional fields are there, null, or not there. */
function payloadOf(required: readonly Field[], optional: readonly Field[]) {
  const absent = fc.constantFrom<(Coded | undefined)[]>(
    { sent: null, read: undefined },
    { sent: undefined, read: undefined },
  );
  const fields = [
    ...required,
    ...optional.map(([name, as, values]): Field => {
      return [name, as, fc.oneof(values, absent) as fc.Arbitrary<Coded>];
    }),
  ];
  return fc.tuple(...fields.map(([, , values]) => values)).map((values) => ({
    payload: Object.fromEntries(fields.map(([name], n) => [name, values[n]?.sent])),
    read: Object.fromEntries(fields.map(([, as], n) => [as, values[n]?.read])),
  }));
}

interface Sample {
  readonly sent: {
    readonly type: string;
    readonly id: string | undefined;
    readonly payload: Record<string, unknown>;
  };
  readonly read: object;
}

function messageOf(
  type: string,
  required: readonly Field[],
  optional: readonly Field[] = [],
  toRead: (fields: Record<string, unknown>) => object = (fields) => fields,
): fc.Arbitrary<Sample> {
  return fc
    .tuple(payloadOf(required, optional), fc.option(anyId, { nil: undefined }))
    .map(([{ payload, read }, id]) => ({
      sent: { type, id, payload },
      read: { type, id, ...toRead(read) },
    }));
}

const anyMessage: fc.Arbitrary<Sample> = fc.oneof(
  messageOf(
    'hello',
    [
      ['protocol_version', 'version', same(fc.constant(1))],
      ['agent_version', 'agentVersion', anyText],
      ['hostname', 'hostname', anyText],
    ],
    [
      ['restic_version', 'resticVersion', anyText],
      ['os', 'os', anyText],
      ['arch', 'arch', anyText],
      ['boot_time', 'bootTimeMs', anyTime],
    ],
    ({ version: _, ...agent }) => ({ agent }),
  ),
  // Not the agent's clock but the arrival of the message says that the agent is alive.
  messageOf('heartbeat', [['sent_at', 'sentAtMs', anyTime]], [], () => ({})),
  messageOf('job.started', [
    ['job_id', 'jobId', same(anyId)],
    ['kind', 'kind', anyKind],
    ['started_at', 'startedAtMs', anyTime],
  ]),
  messageOf(
    'job.finished',
    [
      ['job_id', 'jobId', same(anyId)],
      ['status', 'status', anyJobStatus],
      ['finished_at', 'finishedAtMs', anyTimeOfJob],
    ],
    [
      ['exit_code', 'exitCode', same(fc.integer())],
      ['error', 'error', anyText],
      ['kind', 'kind', anyKind],
      ['started_at', 'startedAtMs', anyTimeOfJob],
    ],
  ),
  messageOf(
    'repo.stats',
    [],
    [
      ['total_size_bytes', 'totalSizeBytes', anyCount],
      ['snapshot_count', 'snapshotCount', anyCount],
      ['repo_status', 'repoStatus', same(fc.constantFrom('unknown', 'ready', 'init_failed'))],
    ],
  ),
);
