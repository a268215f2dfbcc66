import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { ask, RawConnection } from '../support/http.ts';
import { finished, report } from '../support/reports.ts';
import { eventually, Served, sample, TOKEN } from '../support/serve.ts';

const refused = (reason: string) => `rm_agent_refusals_total{reason="${reason}"}`;
const upgrade = (token: string) => [
  `Authorization: Bearer ${token}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

test('durations of commits and scrapes are in seconds, and files are counted', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  for (let n = 0; n < 15; n++) {
    await report(served.url, token, [finished(`${n}`)]);
    await served.scrape();
  }
  const body = await served.scrape();
  for (const family of ['rm_store_commit_duration_seconds', 'rm_scrape_duration_seconds']) {
    const mean = (sample(body, `${family}_sum`) ?? 0) / (sample(body, `${family}_count`) ?? 0);
    // No commit and no scrape is done in 20 µs.
    expect(mean, family).toBeGreaterThan(0.000_02);
    expect(mean, family).toBeLessThan(5);
  }
  const open = sample(body, 'process_open_fds') ?? 0;
  expect(open).toBeLessThanOrEqual(sample(body, 'process_max_fds') ?? 0);
  expect(Math.abs(open - readdirSync(`/proc/${served.pid}/fd`).length)).toBeLessThan(10);
  expect(served.log).not.toContain('MaxListenersExceededWarning');
  const resident = sample(body, 'process_resident_memory_bytes') ?? 0;
  const heap = sample(body, 'nodejs_heap_size_used_bytes') ?? 0;
  expect(heap).toBeGreaterThan(1_000_000);
  expect(heap).toBeLessThan(resident);
  for (const lag of ['nodejs_eventloop_lag_seconds', 'nodejs_eventloop_lag_p99_seconds']) {
    // Nothing may be measured between two scrapes that follow each other at once.
    await eventually(async () => expect(sample(await served.scrape(), lag)).toBeGreaterThan(0));
  }
});

test('operations are pending while the database is locked, and none is afterwards', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  const pending = async () => sample(await served.scrape(), 'rm_store_pending_operations');
  const other = new DatabaseSync(join(served.dataDir, 'fleet.db'), { timeout: 5_000 });
  other.exec('BEGIN IMMEDIATE');
  const answered = report(served.url, token, [finished('a'), finished('b')]);
  await eventually(async () => expect(await pending()).toBe(3)); // and the presence of the host
  other.exec('ROLLBACK');
  other.close();
  await answered;
  expect(await pending()).toBe(0);
});

test('forgotten jobs are counted one by one', async () => {
  const served = await Served.start();
  const { token, host_id: id } = await served.addHost('web');
  await served.stop();
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'));
  const insert = db.prepare(
    `INSERT INTO jobs (host_id, job_id, kind, started_at, status, finished_at, recorded_at)
     VALUES (?, ?, 'check', 1767323045000, 'succeeded', 1767323045000, ?)`,
  );
  db.exec('BEGIN');
  for (let n = 0; n < 100_000; n++) insert.run(id, `${n}`, Date.now());
  db.exec('COMMIT');
  db.close();
  const again = await Served.start({}, served.dataDir);
  await report(again.url, token, [finished('one more')]);
  // So many are deleted at once that this does not happen again at the next job.
  expect(sample(await again.scrape(), 'rm_store_forgotten_jobs_total')).toBe(1_001);
});

test('an agent that dies without a close frame has sent no bad frame', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  const raw = await RawConnection.open(served.url);
  raw.send('GET', '/ws/agent', upgrade(token));
  await raw.until(({ text }) => text.includes('101'));
  raw.end();
  await eventually(async () => {
    expect(sample(await served.scrape(), 'rm_agent_connections')).toBe(0);
  });
  expect(sample(await served.scrape(), refused('bad_frame'))).toBe(0);
  expect(served.log).not.toContain('agent_bad_frame');
});

test('a ninth connection without a hello is told to wait for ten seconds', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  for (let n = 0; n < 8; n++) await TestAgent.connect(served.agentUrl, token);
  const raw = await RawConnection.open(served.url);
  raw.send('GET', '/ws/agent', upgrade(token));
  await raw.until(({ text }) => text.includes('\r\n\r\n'));
  expect(raw.text).toMatch(/^HTTP\/1.1 429 .*\r\nRetry-After: 10\r\n/s);
});

test('a request that says that it has no body is one without a body', async () => {
  const served = await Served.start();
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Length': '0' };
  expect((await ask(served.metricsUrl, { headers })).status).toBe(200);
});

test('the listener for metrics has 100 sockets at most', async () => {
  const served = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0' });
  const { origin } = new URL(served.metricsUrl);
  const held = await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(origin)));
  const one = await RawConnection.open(origin);
  await eventually(() => expect(one.isClosed).toBe(true), 5_000);
  expect(held.filter(({ isClosed }) => isClosed)).toHaveLength(0);
  for (const raw of held) raw.vanish();
  await eventually(async () => {
    expect(sample(await served.scrape(), refused('too_many_connections'))).toBe(1);
  });
});

test('during a shutdown no connection is accepted', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  const agent = await TestAgent.online(served.agentUrl, token);
  const other = new DatabaseSync(join(served.dataDir, 'fleet.db'), { timeout: 5_000 });
  other.exec('BEGIN IMMEDIATE');
  const stored = agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
  await sleep(200);
  const stopped = served.stop();
  const { port } = new URL(served.url);
  await eventually(async () => {
    const accepted = await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    expect(accepted).toBe(false);
  }, 2_000);
  other.exec('ROLLBACK');
  other.close();
  await stored;
  expect(await stopped).toBe(0);
});

test('further loops, too, log the address that a trusted proxy tells', async () => {
  const served = await Served.start({ RM_AGENT_THREADS: '2', RM_TRUSTED_PROXY: '127.0.0.1' });
  for (let n = 0; n < 4; n++) {
    const headers = { Authorization: 'Bearer wrong', 'X-Forwarded-For': '192.0.2.9' };
    await ask(`${served.url}/ws/agent`, { headers });
  }
  await eventually(() => expect(served.log).toContain('"address":"192.0.2.9"'));
  expect(served.log).not.toContain('"address":"127.0.0.1"');
});

test.each([
  ['info', '1', true],
  ['error', '1', false],
  ['error', '2', false],
])(
  'with log_level %s and agent_threads=%s a refused agent is logged: %s',
  async (level, threads, isLogged) => {
    const served = await Served.start({ RM_LOG_LEVEL: level, RM_AGENT_THREADS: threads });
    await ask(`${served.url}/ws/agent`);
    await served.stop();
    expect(served.log.includes('agent_unauthorized')).toBe(isLogged);
  },
);
