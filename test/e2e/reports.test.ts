import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { ask, RawConnection } from '../support/http.ts';
import { finished, JSON_ARRAY, NDJSON, postBody, report } from '../support/reports.ts';
import {
  addHosts,
  cli,
  eventually,
  Served,
  sample,
  servedForAll,
  TOKEN,
} from '../support/serve.ts';

const JOB_COUNT = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
const SENT_AT = { sent_at: '2026-01-02T03:04:05Z' };
const HELLO = { protocol_version: 1, agent_version: 'restic-report/1', hostname: 'web' };

function lines(messages: readonly unknown[]): string {
  return messages.map((message) => `${JSON.stringify(message)}\n`).join('');
}

describe('a request with messages', () => {
  const served = servedForAll();
  let hosts = 0;
  const enrol = () => served().addHost(`web-${++hosts}`);

  test('is answered in the order of its messages, all of which are in the next scrape', async () => {
    const { token, host_id: id, host } = await enrol();
    const before = sample(await served().scrape(), JOB_COUNT) ?? 0;
    const answers = await report(served().url, token, [
      { type: 'hello', payload: { ...HELLO, backup_interval_seconds: 3_600 } },
      finished('a', { summary: { bytes_added: 7 } }),
      { type: 'repo.stats', id: 's', payload: { snapshot_count: 3, total_size_bytes: 99 } },
      { type: 'heartbeat', payload: SENT_AT },
    ]);
    expect(answers).toEqual([
      { type: 'ack', payload: {} },
      { type: 'ack', payload: { id: 'a' } },
      { type: 'ack', payload: { id: 's' } },
      { type: 'ack', payload: {} },
    ]);
    const body = await served().scrape();
    const labels = `host_id="${id}",host="${host}"`;
    expect(sample(body, JOB_COUNT)).toBe(before + 1);
    for (const row of [
      `rm_host_agent_online{${labels}} 1`,
      `rm_host_agent_reports_by_http{${labels}} 1`,
      `rm_host_backup_interval_seconds{${labels}} 3600`,
      `rm_host_last_backup_added_bytes{${labels}} 7`,
      `rm_host_snapshot_count{${labels}} 3`,
      `rm_host_repo_size_bytes{${labels}} 99`,
    ]) {
      expect(body).toContain(`${row}\n`);
    }
  });

  test('may be sent again: it gets the same answers and counts nothing twice', async () => {
    const { token } = await enrol();
    const messages = [finished('a'), finished('b'), finished('a', { status: 'failed' })];
    const first = await report(served().url, token, messages);
    const count = sample(await served().scrape(), JOB_COUNT);
    expect(await report(served().url, token, messages)).toEqual(first);
    expect(first.map(({ payload }) => [payload.id, payload.code])).toEqual([
      ['a', undefined],
      ['b', undefined],
      ['a', 'job_conflict'],
    ]);
    expect(sample(await served().scrape(), JOB_COUNT)).toBe(count);
  });

  test('may have invalid messages, each answered on its own, among valid ones', async () => {
    const { token } = await enrol();
    const answers = await report(served().url, token, [
      { type: 'nonsense', id: 'x', payload: {} },
      finished('a'),
      17,
      { type: 'job.finished', id: 'y', payload: { job_id: 'y', status: 'succeeded' } },
      finished('copy', { kind: 'copy' }),
      finished('early', { started_at: '1970-01-01T00:00:00Z' }),
      { type: 'job.finished', id: 'z', payload: { job_id: 'z', ...SENT_AT } },
      { type: 'hello', id: 'h', payload: { ...HELLO, protocol_version: 2 } },
      finished('long', { error: 'x'.repeat(300_000) }),
      finished('b'),
    ]);
    expect(answers.map(({ payload }) => [payload.id, payload.code])).toEqual([
      ['x', 'unknown_type'],
      ['a', undefined],
      [undefined, 'bad_message'],
      ['y', 'bad_message'],
      ['copy', 'unknown_kind'],
      ['early', 'bad_time'],
      ['z', 'bad_message'],
      ['h', 'protocol_too_new'],
      ['long', 'bad_message'],
      ['b', undefined],
    ]);
  });

  test('counts and logs what the store refuses', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('web');
    const answers = await report(served.url, token, [
      finished('a'),
      finished('a', { status: 'failed' }),
      finished('never started', { kind: undefined, started_at: undefined }),
    ]);
    expect(answers.map(({ payload }) => payload.code)).toEqual([
      undefined,
      'job_conflict',
      'unknown_job',
    ]);
    const body = await served.scrape();
    expect(sample(body, 'rm_agent_refusals_total{reason="job_conflict"}')).toBe(1);
    expect(sample(body, 'rm_agent_refusals_total{reason="unknown_job"}')).toBe(1);
    await eventually(() => expect(served.log).toContain('"event":"agent_job_conflict"'));
  });

  test('may have one message in each line', async () => {
    const { token } = await enrol();
    const body = `${lines([finished('a')])}\r\n{"type":\n${lines([finished('b')])}`;
    const { status, text, headers } = await postBody(served().url, token, body, NDJSON);
    expect([status, headers['content-type']]).toEqual([200, 'application/json']);
    expect(JSON.parse(text)).toMatchObject([
      { type: 'ack', payload: { id: 'a' } },
      { type: 'error', payload: { code: 'bad_message' } },
      { type: 'ack', payload: { id: 'b' } },
    ]);
  });

  test('may name no content type that says what it is, as curl does', async () => {
    const { token } = await enrol();
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const array = await postBody(served().url, token, JSON.stringify([finished('a')]), form);
    const line = await postBody(served().url, token, lines([finished('b')]), form);
    for (const { status, text } of [array, line]) {
      expect([status, JSON.parse(text)]).toMatchObject([200, [{ type: 'ack' }]]);
    }
  });

  test('keeps a report whose error text is not UTF-8', async () => {
    const { token, host_id: id } = await enrol();
    const text = JSON.stringify([finished('a', { status: 'failed', error: 'caf?' })]);
    const body = Buffer.from(text);
    body[body.indexOf('caf?') + 3] = 0xe9;
    const { status } = await postBody(served().url, token, body);
    expect(status).toBe(200);
    expect(await served().scrape()).toContain(`rm_host_last_backup_success{host_id="${id}"`);
  });

  test('without a message checks the token, and does not make the host online', async () => {
    const { token, host_id: id } = await enrol();
    expect(await report(served().url, token, [])).toEqual([]);
    expect(await report(served().url, token, [17])).toMatchObject([{ type: 'error' }]);
    expect(await served().scrape()).not.toContain(id);
  });

  test.each([
    ['no JSON', '[{"type":', JSON_ARRAY],
    ['no array', '{"type":"heartbeat"}', JSON_ARRAY],
    ['no JSON in any line', 'one\ntwo\n', NDJSON],
    ['nothing', '', JSON_ARRAY],
    ['text', 'backup done', { 'Content-Type': 'text/plain' }],
  ])('is 400 with %s in its body, and nothing of it is kept', async (_, body, headers) => {
    const { token, host_id: id } = await enrol();
    const { status, text } = await postBody(served().url, token, body, headers);
    expect([status, text]).toEqual([400, expect.stringMatching(/^the body must /)]);
    expect(await served().scrape()).not.toContain(id);
  });

  test('may be nested more deeply than any stack is high', async () => {
    const { token } = await enrol();
    const deep = `${'['.repeat(400_000)}${']'.repeat(400_000)}`;
    const array = await postBody(
      served().url,
      token,
      `[${deep},{"type":"x","id":"7","payload":${deep.slice(390_000, -390_000)}}]`,
    );
    expect(
      [array.status, array.status === 200 && JSON.parse(array.text)],
      array.text,
    ).toMatchObject([
      200,
      [{ payload: { code: 'bad_message' } }, { payload: { code: 'bad_message', id: '7' } }],
    ]);
    const line = `{"type":"heartbeat","payload":{"sent_at":${deep.slice(300_000, -300_000)}}}`;
    expect((await postBody(served().url, token, line, NDJSON)).status).toBe(200);
    expect(await report(served().url, token, [finished('a')])).toHaveLength(1);
  });

  test('is 401 with a wrong token, and says how to authenticate', async () => {
    const { status, headers } = await postBody(served().url, 'rmh_wrong', '[]');
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer']);
  });

  test('is 405 with another method than POST', async () => {
    const { token } = await enrol();
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const headers = { Authorization: `Bearer ${token}` };
      const answer = await ask(`${served().url}/agent/messages`, { method, headers });
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST']);
    }
  });

  test('is 413 with more than 1,000 messages or more than 1 MiB, however large', async () => {
    const { token } = await enrol();
    const many = Array.from({ length: 1_001 }, (_, n) => finished(`job-${n}`));
    expect(await postBody(served().url, token, JSON.stringify(many))).toMatchObject({
      status: 413,
    });
    expect(await postBody(served().url, token, lines(many), NDJSON)).toMatchObject({ status: 413 });
    for (const bytes of [1024 * 1024 + 1, 4 * 1024 * 1024]) {
      const padded = `[${' '.repeat(bytes - 2)}]`;
      expect((await postBody(served().url, token, padded)).status, `${bytes} bytes`).toBe(413);
      const chunked = { ...JSON_ARRAY, 'Transfer-Encoding': 'chunked' };
      expect((await postBody(served().url, token, padded, chunked)).status).toBe(413);
    }
    const full = `[${' '.repeat(1024 * 1024 - 2)}]`;
    expect((await postBody(served().url, token, full)).status).toBe(200);
    const thousand = await report(served().url, token, many.slice(1));
    expect(thousand.every(({ type }) => type === 'ack')).toBe(true);
  });

  test('with Expect: 100-continue is told to go on, and answered', async () => {
    const { token } = await enrol();
    const raw = await RawConnection.open(served().url);
    const body = JSON.stringify([finished('a')]);
    raw.send('POST', '/agent/messages', [
      `Authorization: Bearer ${token}`,
      'Expect: 100-continue',
      `Content-Length: ${body.length}`,
    ]);
    await raw.until(({ text }) => text.includes('100 Continue\r\n\r\n'));
    raw.sendRaw(body);
    await raw.until(({ text }) => text.includes('"ack"'));
    expect(raw.text).toContain('HTTP/1.1 200 OK');
  });

  test('ends its connection, so that no second one can wait behind it', async () => {
    const { token } = await enrol();
    const keepAlive = { ...JSON_ARRAY, Connection: 'keep-alive' };
    const { headers } = await postBody(served().url, token, '[]', keepAlive);
    expect(headers.connection).toBe('close');
  });

  test('is counted by its status, its messages by type and refusal', async () => {
    const { token } = await enrol();
    const count = async () => {
      const body = await served().scrape();
      return [
        sample(body, 'rm_agent_requests_total{code="200"}') ?? 0,
        sample(body, 'rm_agent_requests_total{code="400"}') ?? 0,
        sample(body, 'rm_agent_requests_total{code="401"}') ?? 0,
        sample(body, 'rm_agent_messages_total{type="job.finished"}') ?? 0,
        sample(body, 'rm_agent_refusals_total{reason="unknown_kind"}') ?? 0,
        sample(body, 'rm_agent_refusals_total{reason="bad_report"}') ?? 0,
      ];
    };
    const before = await count();
    await report(served().url, token, [finished('a'), finished('b', { kind: 'copy' })]);
    await postBody(served().url, token, 'x');
    await postBody(served().url, 'rmh_wrong', '[]');
    const now = await count();
    expect(now.map((value, at) => value - (before[at] ?? 0))).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('that the client abandons half-way changes nothing', async () => {
    const { token, host_id: id } = await enrol();
    for (let n = 0; n < 6; n++) {
      const raw = await RawConnection.open(served().url);
      const headers = [`Authorization: Bearer ${token}`, 'Content-Length: 1000'];
      raw.send('POST', '/agent/messages', headers, '[{"type":');
      await sleep(20);
      raw.vanish();
    }
    expect(await served().scrape()).not.toContain(id);
    expect(await report(served().url, token, [finished('a')])).toHaveLength(1);
  });

  test('beyond the fourth open one of a host is 429, and other hosts do not notice', async () => {
    const { token } = await enrol();
    const other = await enrol();
    const headers = [`Authorization: Bearer ${token}`, 'Content-Length: 1000'];
    const held: RawConnection[] = [];
    for (let n = 0; n < 4; n++) {
      const raw = await RawConnection.open(served().url);
      raw.send('POST', '/agent/messages', headers, '[');
      held.push(raw);
    }
    await eventually(async () => {
      const { status, headers } = await postBody(served().url, token, '[]');
      expect([status, headers['retry-after']]).toEqual([429, '1']);
    });
    expect(await report(served().url, other.token, [])).toEqual([]);
    for (const raw of held) raw.vanish();
    await eventually(() => report(served().url, token, []));
  });

  test('closes no WebSocket of the host, and does not take part in its presence', async () => {
    const { token, host_id: id } = await enrol();
    const agent = await TestAgent.online(served().agentUrl, token);
    await report(served().url, token, [finished('a')]);
    const labels = `{host_id="${id}"`;
    expect(await served().scrape()).not.toContain(`rm_host_agent_reports_by_http${labels}`);
    agent.close();
    await eventually(async () => {
      const row = new RegExp(`^rm_host_agent_online${labels}.* 0$`, 'm');
      expect(await served().scrape()).toMatch(row);
    });
  });
});

describe('the script', () => {
  const served = servedForAll();
  const file = readFileSync(fileURLToPath(new URL('../../bin/restic-report', import.meta.url)));

  test('is served without a token, byte for byte', async () => {
    const answer = await ask(`${served().url}/agent/restic-report`);
    expect([answer.status, answer.body.equals(file)]).toEqual([200, true]);
    expect(answer.headers['content-type']).toBe('text/x-shellscript; charset=utf-8');
    const head = await ask(`${served().url}/agent/restic-report`, { method: 'HEAD' });
    expect([head.status, head.headers['content-length']]).toEqual([200, String(file.length)]);
    const post = await ask(`${served().url}/agent/restic-report`, { method: 'POST' });
    expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  });
});

test('reports are on the listener of the agents, not on that of the metrics', async () => {
  const served = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0' });
  const { token } = await served.addHost('web');
  const metrics = new URL(served.metricsUrl).origin;
  expect((await postBody(metrics, token, '[]')).status).toBe(404);
  expect((await ask(`${metrics}/agent/restic-report`)).status).toBe(404);
  expect((await postBody(served.url, token, '[]')).status).toBe(200);
});

test('hosts list without a server knows who reports by HTTP, and who has been silent for too long', async () => {
  const served = await Served.start();
  const [often, seldom] = await addHosts(served.dataDir, 2);
  if (often === undefined || seldom === undefined) throw new Error('two hosts were to be added');
  const hello = (seconds: number) => [
    { type: 'hello', payload: { ...HELLO, backup_interval_seconds: seconds } },
  ];
  await report(served.url, often.token, hello(1));
  await report(served.url, seldom.token, hello(3_600));
  await served.stop();
  await sleep(1_500);
  const { stdout } = await cli(['hosts', 'list', '--json'], { RM_DATA_DIR: served.dataDir });
  expect(JSON.parse(stdout).map(({ status }: { status: string }) => status)).toEqual([
    'offline',
    'online',
  ]);
});

test('a removed host is 401, as is a token that was replaced; the new one works at once', async () => {
  const served = await Served.start();
  const [a, b] = await addHosts(served.dataDir, 2);
  if (a === undefined || b === undefined) throw new Error('two hosts were to be added');
  const env = { RM_DATA_DIR: served.dataDir };
  await cli(['hosts', 'remove', a.host_id], env);
  const { stdout } = await cli(['hosts', 'token', b.host_id], env);
  expect((await postBody(served.url, a.token, '[]')).status).toBe(401);
  expect((await postBody(served.url, b.token, '[]')).status).toBe(401);
  expect(await report(served.url, JSON.parse(stdout).token, [finished('a')])).toHaveLength(1);
});

test.each(['1', '3'])(
  '%s agent loops answer 1,000 hosts that report at the same time',
  async (threads) => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const hosts = await addHosts(served.dataDir, 1_000);
    const startedAt = Date.now();
    const answers = await Promise.all(
      hosts.map(({ token }) => report(served.url, token, [finished('a'), finished('b')])),
    );
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    expect(answers.flat().every(({ type }) => type === 'ack')).toBe(true);
    const body = await served.scrape();
    expect(sample(body, JOB_COUNT)).toBe(2_000);
    expect(sample(body, 'rm_hosts_online')).toBe(1_000);
  },
);

test('nothing that was answered is lost or counted twice when the server is killed', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  const acknowledged: string[] = [];
  const sender = async (name: string) => {
    for (let n = 0; ; n++) {
      const [answer] = await report(served.url, token, [finished(`${name}-${n}`)]);
      if (answer?.type === 'ack') acknowledged.push(`${name}-${n}`);
    }
  };
  const senders = ['x', 'y', 'z'].map((name) => sender(name).catch(() => {}));
  await eventually(() => expect(acknowledged.length).toBeGreaterThan(100));
  await served.stop('SIGKILL');
  await Promise.all(senders);
  const again = await Served.start({}, served.dataDir);
  for (let from = 0; from < acknowledged.length; from += 500) {
    const repeats = acknowledged.slice(from, from + 500);
    const body = repeats.map((job_id) => ({
      type: 'job.started',
      payload: { job_id, kind: 'check', started_at: '2026-01-02T03:04:05Z' },
    }));
    // Each of these ids belongs to another job, so each must be known.
    const answers = await report(again.url, token, body);
    expect(new Set(answers.map(({ payload }) => payload.code))).toEqual(new Set(['job_conflict']));
  }
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const { body } = await ask(again.metricsUrl, { headers });
  expect(sample(body.toString(), 'rm_hosts_online'), 'online over the restart').toBe(1);
});
