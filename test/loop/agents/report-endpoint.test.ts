import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  MAX_DISCARDED_BYTES,
  MAX_REPORT_BYTES,
  MAX_REPORT_BYTES_PER_LOOP,
  MAX_REPORT_CHUNKS,
  MAX_REPORTS_PER_HOST,
  REPORT_BODY_MS,
} from '../../../src/loop/agents/limits.ts';
import { ask, RawConnection } from '../../support/http.ts';
import { finished, postBody, report } from '../../support/reports.ts';
import { eventually } from '../../support/serve.ts';
import { EndpointRig } from './endpoint-rig.ts';

/** Waits without a timer, because a test may have stopped the clock. */
async function turnsUntil(isDone: () => boolean): Promise<void> {
  while (!isDone()) await setImmediate();
}

/** Opens a request with this body, which need not be complete. */
async function open(
  rig: EndpointRig,
  token: string,
  length: string,
  body = '',
): Promise<RawConnection> {
  const raw = await RawConnection.open(rig.url);
  raw.send('POST', '/agent/messages', [`Authorization: Bearer ${token}`, length], body);
  return raw;
}

const answered = (raw: RawConnection) => raw.until(({ text }) => text.includes('\r\n\r\n'));
const origin = (rig: EndpointRig) => new URL(rig.url).origin;

describe('a body that is not complete after 30 s', () => {
  /** Begins a report, and waits until the endpoint has its head. */
  async function begin(rig: EndpointRig, token: string): Promise<RawConnection> {
    const timers = vi.getTimerCount();
    const raw = await RawConnection.open(rig.url);
    const headers = [`Authorization: Bearer ${token}`, 'Content-Length: 1000'];
    raw.send('POST', '/agent/messages', headers, '[');
    await turnsUntil(() => vi.getTimerCount() > timers);
    return raw;
  }

  test('is refused, but not that of a client that has left before', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    (await begin(rig, token)).vanish();
    await turnsUntil(() => rig.openSockets === 0);
    vi.advanceTimersByTime(REPORT_BODY_MS);
    expect(rig.refused('bad_report')).toBe(0);

    const slow = await begin(rig, token);
    vi.advanceTimersByTime(REPORT_BODY_MS - 1);
    expect(rig.refused('bad_report'), 'a moment before').toBe(0);
    vi.advanceTimersByTime(1);
    expect(rig.refused('bad_report')).toBe(1);
    await slow.until(({ isClosed }) => isClosed);
    expect(slow.text).toMatch(/^HTTP\/1.1 408 /);
    expect(rig.events('agent_bad_report')).toMatchObject([{ code: 408 }]);
  });

  test('gives its place back to its host', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const all: RawConnection[] = [];
    for (let n = 0; n < MAX_REPORTS_PER_HOST; n++) all.push(await begin(rig, token));
    vi.advanceTimersByTime(REPORT_BODY_MS);
    for (const raw of all) await answered(raw);
    expect(rig.answered(408)).toBe(MAX_REPORTS_PER_HOST);
    vi.useRealTimers();
    expect(await report(origin(rig), token, [])).toEqual([]);
  });

  test('is not one that was complete before', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await report(origin(rig), token, [])).toEqual([]);
    vi.advanceTimersByTime(REPORT_BODY_MS);
    expect([rig.answered(408), rig.refused('bad_report')]).toEqual([0, 0]);
    expect(rig.logged).toEqual([]);
  });
});

describe('a request that is refused gives its place back to its host', () => {
  const tooLong = ' '.repeat(MAX_REPORT_BYTES + 1);

  test.each([
    ['because its body is unreadable', 400, 'no JSON', {}],
    ['because its body is too long', 413, tooLong, { 'Transfer-Encoding': 'chunked' }],
  ])('%s', async (_, code, body, headers) => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    for (let n = 0; n <= MAX_REPORTS_PER_HOST; n++) {
      expect((await postBody(origin(rig), token, body, headers)).status).toBe(code);
    }
    expect(rig.answered(code as 400 | 413)).toBe(MAX_REPORTS_PER_HOST + 1);
    expect(rig.refused('bad_report')).toBe(MAX_REPORTS_PER_HOST + 1);
    expect(rig.events('agent_bad_report')).toMatchObject([{ code }]);
    expect(await report(origin(rig), token, [])).toEqual([]);
  });

  test('because the memory for bodies is full', async () => {
    const rig = await EndpointRig.start();
    const held: RawConnection[] = [];
    const length = `Content-Length: ${MAX_REPORT_BYTES}`;
    const body = ' '.repeat(MAX_REPORT_BYTES - 1);
    const hosts = MAX_REPORT_BYTES_PER_LOOP / MAX_REPORT_BYTES / MAX_REPORTS_PER_HOST;
    for (let host = 0; host < hosts; host++) {
      const token = await rig.enrol(`web-${host}`);
      for (let n = 0; n < MAX_REPORTS_PER_HOST; n++) {
        held.push(await open(rig, token, length, body));
      }
    }
    const token = await rig.enrol('mail');
    const post = () => postBody(origin(rig), token, `[${' '.repeat(1_000)}]`);
    await eventually(async () => expect((await post()).status).toBe(503));
    for (let n = 0; n < MAX_REPORTS_PER_HOST; n++) expect((await post()).status).toBe(503);
    expect(rig.events('agent_too_many_requests')).toMatchObject([{ code: 503 }]);
    const half = ' '.repeat(1_000);
    const torn = await open(rig, token, 'Content-Length: 2002', `[${half}`);
    expect((await post()).status, 'the half is read').toBe(503);
    for (const raw of held) raw.vanish();
    await eventually(async () => expect((await post()).status).toBe(200));
    // Of its body the first half was not kept. With 400 the agent would drop its messages.
    torn.sendRaw(`${half}]`);
    await answered(torn);
    expect(torn.text).toMatch(/^HTTP\/1\.1 503 /);
  });
});

describe('a request beyond the fourth that a host has open', () => {
  test('is counted and logged, and costs no open one its place', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    for (let n = 0; n < MAX_REPORTS_PER_HOST; n++) {
      await open(rig, token, 'Content-Length: 1000', '[');
    }
    await eventually(async () =>
      expect((await postBody(origin(rig), token, '[]')).status).toBe(429),
    );
    const again = await postBody(origin(rig), token, '[]');
    expect([again.status, again.headers['retry-after']]).toEqual([429, '1']);
    expect(rig.answered(429)).toBe(rig.refused('too_many_requests'));
    expect(rig.events('agent_too_many_requests')).toMatchObject([{ code: 429 }]);
  });
});

describe('a request whose client leaves before the answer', () => {
  test('is handled, and until then is one of the four that its host may have open', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const unlock = rig.lockDatabase();
    for (let n = 0; n < MAX_REPORTS_PER_HOST; n++) {
      const body = JSON.stringify([finished(`${n}`)]);
      const raw = await open(rig, token, `Content-Length: ${body.length}`, body);
      await eventually(() => expect(rig.received('job.finished')).toBe(n + 1));
      raw.vanish();
      await eventually(() => expect(rig.openSockets).toBe(0));
    }
    expect((await postBody(origin(rig), token, '[]')).status).toBe(429);
    unlock();
    await eventually(() => expect(rig.jobs).toEqual(['0', '1', '2', '3']));
    await eventually(async () => expect(await report(origin(rig), token, [])).toEqual([]));
  });
});

describe('the length of a body', () => {
  test('that is announced as too much to be read is refused before the body comes', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const most = MAX_REPORT_BYTES + MAX_DISCARDED_BYTES;
    const waiting = await open(rig, token, `Content-Length: ${most}`, '[');
    const refused = await open(rig, token, `Content-Length: ${most + 1}`, '[');
    await answered(refused);
    expect(refused.text).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n/s);
    expect(waiting.text, 'this body is read, so that the client sees the answer').toBe('');
    expect(rig.answered(413)).toBe(1);
  });

  test('is limited in chunks, too, since each of them costs time', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const inChunks = (chunks: number) =>
      open(rig, token, 'Transfer-Encoding: chunked', `1\r\n[\r\n${'1\r\n \r\n'.repeat(chunks)}`);
    // The first chunk, the last one, and the end, which counts like a chunk.
    const most = await inChunks(MAX_REPORT_CHUNKS - 3);
    most.sendRaw('1\r\n]\r\n0\r\n\r\n');
    await answered(most);
    expect(most.text).toMatch(/^HTTP\/1\.1 200 /);
    const tooMany = await inChunks(MAX_REPORT_CHUNKS);
    await answered(tooMany);
    expect(tooMany.text).toMatch(/^HTTP\/1\.1 413 /);
    expect(rig.refused('bad_report')).toBe(1);
  });
});

test('the content type is read in any case, and without its parameters', async () => {
  const rig = await EndpointRig.start();
  const token = await rig.enrol('web');
  const lines = { 'Content-Type': 'Application/X-NDJSON ; charset=utf-8' };
  const { status, text } = await postBody(origin(rig), token, '17\n{}\n', lines);
  expect([status, JSON.parse(text)]).toMatchObject([200, [{ type: 'error' }, { type: 'error' }]]);
  const array = { 'Content-Type': 'Application/JSON;charset=utf-8' };
  expect((await postBody(origin(rig), token, '{}', array)).status).toBe(400);
});

test('of several hellos in a request the last one counts', async () => {
  const rig = await EndpointRig.start();
  const token = await rig.enrol('web');
  const hello = (version: string) => ({
    type: 'hello',
    payload: { protocol_version: 1, agent_version: version, hostname: 'web' },
  });
  await report(origin(rig), token, [hello('1.0'), hello('1.1'), { type: 'nonsense' }]);
  const hostId = await rig.hostId('web');
  expect(await rig.client.submit('showHost', { hostId })).toMatchObject({ agentVersion: '1.1' });
});

test('a request with another method than POST is counted by its answer', async () => {
  const rig = await EndpointRig.start();
  expect((await ask(`${origin(rig)}/agent/messages`)).status).toBe(405);
  expect(rig.answered(405)).toBe(1);
});

// `hosts remove` is another process: the server may hear of it a moment later.
test('the reports of a host that was just removed are refused with 401, whatever they are', async () => {
  const rig = await EndpointRig.start();
  const token = await rig.enrol('web');
  rig.removeUnnoticed('web');
  const hello = { protocol_version: 1, agent_version: '1', hostname: 'x' };
  const { payload: job } = finished('job') as { payload: object };
  const all = [
    { type: 'hello', payload: hello },
    { type: 'heartbeat', payload: { sent_at: '2026-01-02T03:04:05Z' } },
    { type: 'job.started', payload: job },
    { type: 'job.finished', payload: job },
    { type: 'repo.stats', payload: { snapshot_count: 1 } },
  ];
  for (const message of all) {
    const body = JSON.stringify([{ type: 'nonsense', payload: {} }, message]);
    const { status, headers } = await postBody(origin(rig), token, body);
    expect([status, headers['www-authenticate']], message.type).toEqual([401, 'Bearer']);
  }
  expect(rig.answered(401)).toBe(all.length);
  expect(rig.refused('unauthorized')).toBe(all.length);
  expect(rig.observed).toEqual([]);
});

describe('the drain of the endpoint', () => {
  const head = (token: string, length: number) => [
    `Authorization: Bearer ${token}`,
    `Content-Length: ${length}`,
  ];

  /** Sends a report and waits for the answer. The endpoint has then read what others sent before. */
  async function reportAll(rig: EndpointRig, token: string): Promise<void> {
    const raw = await RawConnection.open(rig.url);
    raw.send('POST', '/agent/messages', head(token, 2), '[]');
    await raw.until(({ text }) => text.includes('200 OK'));
    raw.vanish();
  }

  async function secondsToDrain(rig: EndpointRig): Promise<number> {
    const startedAt = performance.now();
    await rig.endpoint.drain(30_000);
    return (performance.now() - startedAt) / 1_000;
  }

  test('does not wait for reports that broke off before their bodies were complete', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const raw = await RawConnection.open(rig.url);
    raw.send('POST', '/agent/messages', head(token, 10), '[');
    await reportAll(rig, token);
    raw.vanish();
    await eventually(() => expect(rig.openSockets).toBe(0));
    expect(await secondsToDrain(rig)).toBeLessThan(10);
  });

  test('does not wait for reports that were refused while their bodies arrived', async () => {
    const rig = await EndpointRig.start();
    const raw = await RawConnection.open(rig.url);
    const token = await rig.enrol('web');
    const tooLong = ['Transfer-Encoding: chunked', `Authorization: Bearer ${token}`];
    const chunk = `${(2 ** 20 + 1).toString(16)}\r\n${' '.repeat(2 ** 20 + 1)}\r\n0\r\n\r\n`;
    raw.send('POST', '/agent/messages', tooLong, chunk);
    await raw.until(({ text }) => text.includes(' 413 '));
    expect(await secondsToDrain(rig)).toBeLessThan(10);
  });
});
