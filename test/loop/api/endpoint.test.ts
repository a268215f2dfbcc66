import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { compileGate, type GateRefusal } from '../../../src/access/gate.ts';
import type { QueryAnswer } from '../../../src/contract/queries.ts';
import { mountApi } from '../../../src/loop/api/endpoint.ts';
import type { QuerySource } from '../../../src/loop/api/query-source.ts';
import { MAX_UNREAD_BYTES } from '../../../src/loop/api/unread-answers.ts';
import { RequestBudget } from '../../../src/loop/http/request-budget.ts';
import { uws } from '../../../src/platform/uws.ts';
import { AUTHORIZED, askApi } from '../../support/api.ts';
import { ask, RawConnection } from '../../support/http.ts';
import { inTime } from '../../support/in-time.ts';
import { eventually, TOKEN } from '../../support/serve.ts';

/** More than the buffers of the sockets take from a server whose client does not read. */
const LARGE_BYTES = 4 * MAX_UNREAD_BYTES;

const LARGE: QuerySource = { ask: async () => ({ json: new Uint8Array(LARGE_BYTES) }) };

/** The API on an app in the thread of the test. By default, each of its answers is large. */
async function mounted(source = LARGE) {
  /** What was counted: statuses of answers, and refusals. */
  const counted: (number | string)[] = [];
  /** In milliseconds. */
  const durations: number[] = [];
  const failures: string[] = [];
  const refusals: GateRefusal[] = [];
  const gate = compileGate({ token: TOKEN });
  if (gate === undefined) throw new Error('no gate');
  const app = uws().App();
  onTestFinished(() => void app.close());
  mountApi(app, {
    gate,
    source,
    counter: {
      apiRequest: (code) => counted.push(code),
      apiRefusal: (reason) => counted.push(reason),
      apiDuration: (ms) => durations.push(ms),
    },
    requests: new RequestBudget(),
    onFailure: (code, message) => failures.push(`${code}: ${message}`),
    onRefusal: (refusal) => refusals.push(refusal),
  });
  const url = await new Promise<string>((resolve, reject) =>
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket === false) return reject(new Error('cannot listen'));
      resolve(`http://127.0.0.1:${uws().us_socket_local_port(socket)}/api/fleet`);
    }),
  );
  /** Reads a whole answer. */
  const read = async () => {
    const { status, body } = await ask(url, { headers: { Authorization: `Bearer ${TOKEN}` } });
    expect([status, body.length]).toEqual([200, LARGE_BYTES]);
  };
  /** Reads the start of an answer, and no more. */
  const begin = async () => {
    const raw = await RawConnection.open(url);
    raw.send('GET', '/api/fleet', [`Authorization: Bearer ${TOKEN}`]);
    await raw.until(({ receivedBytes }) => receivedBytes > 0);
    raw.pause();
    return raw;
  };
  return { url, read, begin, counted, durations, failures, refusals };
}

test('an answer counts when its client has got all of it', async () => {
  const { read, counted, durations } = await mounted();
  await read();
  await eventually(() => expect(counted).toEqual([200]));
  expect(durations).toHaveLength(1);
});

test('an answer whose client has left before its end does not count', async () => {
  const { read, begin, counted, durations } = await mounted();
  (await begin()).vanish();
  // The server notices that before it has sent these.
  await read();
  await read();
  await eventually(() => expect(counted.length).toBeGreaterThanOrEqual(2));
  expect(counted).toEqual([200, 200]);
  expect(durations).toHaveLength(2);
});

test('a client that is disconnected because it reads too slowly counts as refused, not as answered', async () => {
  const { read, begin, counted, durations } = await mounted();
  const slow = await begin();
  await read();
  await eventually(() => expect(counted).toContain(200));
  expect(counted).toEqual(['too_slow', 200]);
  expect(durations).toHaveLength(1);
  slow.resume();
  await eventually(() => expect(slow.isClosed).toBe(true));
  expect(slow.receivedBytes).toBeLessThan(LARGE_BYTES);
});

const SMALL = new TextEncoder().encode('{"hosts":1}\n');

/** The API whose queries are all answered with this. */
async function answeredWith(answer: () => Promise<QueryAnswer>) {
  const queries: unknown[] = [];
  const api = await mounted({
    ask(query) {
      queries.push(query);
      return answer();
    },
  });
  const { origin } = new URL(api.url);
  return { ...api, queries, askFor: (path: string) => askApi(origin, path), origin };
}

test.each([
  [503, 'failed', { failed: 'api_failed', message: 'SQLite: disk I/O error' }],
  [503, 'too_late', { failed: 'api_too_late', message: 'no answer' }],
  [503, 'too_many_requests', { failed: 'too_many_requests', message: '64 are waiting' }],
  [404, 'no_such_host', { failed: 'no_such_host', message: 'none' }],
] as const)('%i %s: the client gets no cause, the log does', async (status, reason, answer) => {
  const { askFor, counted, failures, durations } = await answeredWith(async () => answer);
  const { status: got, headers, json } = await askFor('/api/fleet');
  expect(got).toBe(status);
  expect(json.error).toEqual({ code: reason, message: expect.any(String) });
  expect(json.error.message).not.toContain(answer.message);
  expect(headers['cache-control']).toBe('no-store');
  expect(headers['retry-after']).toBe(status === 503 ? '1' : undefined);
  expect(counted).toEqual([status, reason]);
  expect(failures).toEqual(status === 503 ? [`${answer.failed}: ${answer.message}`] : []);
  expect(durations).toEqual([]);
});

test('an error that nobody expected is 503, not a request without an answer', async () => {
  const { askFor, counted, failures } = await answeredWith(() => Promise.reject(new Error('bug')));
  const { status } = await inTime(askFor('/api/fleet'), 'there is no answer');
  expect(status).toBe(503);
  expect(counted).toEqual([503, 'failed']);
  expect(failures).toEqual(['api_failed: bug']);
});

test('an answer that lacks a part is 200, and the reason is logged and counted', async () => {
  const { askFor, counted, failures } = await answeredWith(async () => ({
    json: SMALL,
    lacks: 'SQLite: disk I/O error',
  }));
  expect(await askFor('/api/fleet')).toMatchObject({ status: 200, json: { hosts: 1 } });
  await eventually(() => expect(counted).toEqual(['failed', 200]));
  expect(failures).toEqual(['api_failed: SQLite: disk I/O error']);
});

test('HEAD counts as answered, and its duration does not', async () => {
  const { origin, counted, durations } = await answeredWith(async () => ({ json: SMALL }));
  const { status, headers, body } = await askApi(origin, '/api/fleet', { method: 'HEAD' });
  expect([status, body.length, headers['cache-control']]).toEqual([200, 0, 'no-store']);
  expect([counted, durations]).toEqual([[200], []]);
});

test('the duration is in milliseconds, and contains the wait for the answer', async () => {
  const { promise, resolve } = Promise.withResolvers<QueryAnswer>();
  const { askFor, durations, queries } = await answeredWith(() => promise);
  const answered = askFor('/api/fleet');
  await eventually(() => expect(queries).toHaveLength(1));
  const askedAt = performance.now();
  await sleep(50);
  const waitedMs = performance.now() - askedAt;
  resolve({ json: SMALL });
  await answered;
  await eventually(() => expect(durations).toHaveLength(1));
  expect(durations[0]).toBeGreaterThanOrEqual(waitedMs);
});

test('a client that has read its answer is never disconnected for it', async () => {
  const { url, counted } = await answeredWith(async () => ({
    json: new Uint8Array(MAX_UNREAD_BYTES / 2),
  }));
  const connection = await RawConnection.open(url);
  const authorization = `Authorization: Bearer ${TOKEN}`;
  connection.send('GET', '/api/fleet', [authorization]);
  await connection.until(({ receivedBytes }) => receivedBytes > MAX_UNREAD_BYTES / 2);
  for (let n = 0; n < 3; n++) {
    expect((await ask(url, { headers: AUTHORIZED })).status).toBe(200);
  }
  expect(connection.isClosed).toBe(false);
  await eventually(() => expect(counted).toEqual([200, 200, 200, 200]));
});

test.each(['x', '%00', '01JD8Z5N3V9Q4R7T2W6X8Y0A1', '01jd8z5n3v9q4r7t2w6x8y0a1b'])(
  'the database is not asked for a host %j, which cannot exist',
  async (id) => {
    const { askFor, counted, queries } = await answeredWith(async () => ({ json: SMALL }));
    expect((await askFor(`/api/hosts/${id}`)).status).toBe(404);
    expect([counted, queries]).toEqual([[404, 'no_such_host'], []]);
  },
);

test.each([
  ['GET', '/api/fleet', AUTHORIZED, 400, 'bad_request'],
  ['GET', '/api/hosts?limit=0', AUTHORIZED, 400, 'bad_parameter'],
  ['GET', '/api/fleet', {}, 401, 'unauthorized'],
  ['DELETE', '/api/fleet', AUTHORIZED, 405, 'bad_method'],
])('%s %s with %j is %i, and nobody is asked', async (method, path, headers, status, reason) => {
  const { origin, counted, queries, refusals } = await answeredWith(async () => ({ json: SMALL }));
  const connection = await RawConnection.open(origin);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const hasBody = reason === 'bad_request';
  connection.send(
    method,
    path,
    hasBody ? [...lines, 'Content-Length: 1'] : lines,
    hasBody ? 'x' : '',
  );
  await connection.until(({ text }) => /\r\n\r\n./s.test(text));
  expect(connection.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(connection.text).toContain('\r\nCache-Control: no-store\r\n');
  expect([counted, queries]).toEqual([[status, reason], []]);
  expect(refusals).toEqual(status === 401 ? [{ gate: 'token', client: '127.0.0.1' }] : []);
});
