import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { unless } from '../support/programs.ts';
import { finished, postBody, report } from '../support/reports.ts';
import { addHosts, cli, eventually, Served, sample, temporaryDirectory } from '../support/serve.ts';
import { SmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';

const AT = '2026-01-02T03:04:05Z';
const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';

function finish(jobId: string) {
  return {
    job_id: jobId,
    kind: 'backup',
    status: 'succeeded',
    started_at: AT,
    finished_at: AT,
  };
}

/** Lines of the log about such an event. */
function events(served: Served, event: string): Record<string, unknown>[] {
  return served.log
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line));
}

/** Another process that holds the lock for writing, as far as SQLite is concerned. */
function holdLock(dataDir: string): () => void {
  const other = new DatabaseSync(join(dataDir, 'fleet.db'), { timeout: 5_000 });
  other.exec('BEGIN IMMEDIATE');
  onTestFinished(() => {
    if (other.isOpen) other.close();
  });
  return () => {
    other.exec('ROLLBACK');
    other.close();
  };
}

async function fleet(served: Served, count: number): Promise<TestAgent[]> {
  const hosts = await addHosts(served.dataDir, count);
  return Promise.all(hosts.map(({ token }) => TestAgent.online(served.agentUrl, token)));
}

describe.each(['1', '3'])('with agent_threads=%s, another process that has the lock', (threads) => {
  test('for a moment delays the answers, and nothing else', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const agents = await fleet(served, 20);
    const release = holdLock(served.dataDir);
    const reports = agents.map((agent, index) =>
      agent.report('job.finished', finish('j'), `${index}`),
    );
    await sleep(1_500);
    release();
    await Promise.all(reports);
    expect(sample(await served.scrape(), BACKUPS)).toBe(20);
    expect(sample(await served.scrape(), 'rm_store_failures_total')).toBe(0);
    expect(served.log).not.toContain('store_failed');
  });

  test('for long costs every agent one wait, is logged once, and so is its end', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const agents = await fleet(served, 100);
    const [late] = await addHosts(served.dataDir, 1);
    const release = holdLock(served.dataDir);
    const startedAt = performance.now();
    // Not all at once: what arrives during the wait of the others must not wait anew for each.
    for (const [index, agent] of agents.entries()) {
      agent.send('job.finished', finish('j'), `${index}`);
      if (index % 10 === 0) await sleep(50);
    }
    const closed = await Promise.all(agents.map((agent) => agent.closed));
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(new Set(closed.map(({ code }) => code))).toEqual(new Set([1013]));
    const body = await served.scrape();
    expect(sample(body, 'rm_hosts_online'), 'their goodbyes are not written').toBe(0);
    expect(sample(body, 'rm_store_failures_total')).toBeGreaterThan(0);
    expect(events(served, 'store_failed')).toMatchObject([
      { level: 'error', error: expect.stringContaining('database is locked') },
    ]);
    release();
    const releasedAt = performance.now();
    const agent = await TestAgent.online(served.agentUrl, late?.token ?? '');
    await agent.report('job.finished', finish('after'), 'after');
    expect(performance.now() - releasedAt).toBeLessThan(5_000);
    await eventually(() => expect(events(served, 'store_recovered')).toHaveLength(1));
    expect(events(served, 'store_failed')).toHaveLength(1);
    expect(await served.stop()).toBe(0);
  });

  test('does not keep SIGTERM waiting', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const agents = await fleet(served, 10);
    holdLock(served.dataDir);
    for (const agent of agents) agent.send('job.finished', finish('j'), 'j');
    await sleep(500);
    const startedAt = performance.now();
    expect(await served.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    for (const { code } of await Promise.all(agents.map((agent) => agent.closed))) {
      expect([1012, 1013]).toContain(code);
    }
  });
});

test('a command waits for the lock, and says what is wrong if it is not released', async () => {
  const served = await Served.start();
  const release = holdLock(served.dataDir);
  const adding = cli(['hosts', 'add', 'web', 'db'], { RM_DATA_DIR: served.dataDir });
  const [{ code, stdout }] = await Promise.all([adding, sleep(1_000).then(release)]);
  expect([code, stdout.trim().split('\n')]).toEqual([0, [expect.any(String), expect.any(String)]]);
});

describe('a database that is deleted or replaced while it is served', () => {
  const damages: readonly (readonly [name: string, file: string, damage: (dir: string) => void])[] =
    [
      ['fleet.db is deleted', 'fleet.db', (dir) => rmSync(join(dir, 'fleet.db'))],
      [
        'fleet.db is renamed',
        'fleet.db',
        (dir) => renameSync(join(dir, 'fleet.db'), join(dir, 'x')),
      ],
      [
        'fleet.db is replaced by a copy',
        'fleet.db',
        (dir) => {
          copyFileSync(join(dir, 'fleet.db'), join(dir, 'copy'));
          renameSync(join(dir, 'copy'), join(dir, 'fleet.db'));
        },
      ],
      [
        'the write-ahead log is deleted',
        'fleet.db-wal',
        (dir) => rmSync(join(dir, 'fleet.db-wal')),
      ],
      ['the lock is deleted', 'serve.lock', (dir) => rmSync(join(dir, 'serve.lock'))],
      ['the directory is deleted', '', (dir) => rmSync(dir, { recursive: true })],
      [
        'the directory is replaced by an empty one',
        '',
        (dir) => {
          renameSync(dir, `${dir}-old`);
          mkdirSync(dir);
        },
      ],
    ];

  test.each(
    ['1', '3'].flatMap((threads) => damages.map((damage) => [...damage, threads] as const)),
  )('%s: nothing is acknowledged any more, exit code 1 (%#)', async (_, file, damage, threads) => {
    const dataDir = join(temporaryDirectory(), 'data');
    const served = await Served.start({ RM_AGENT_THREADS: threads }, dataDir);
    const { token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.report('job.finished', finish('before'), 'before');
    const exited = served.exited();
    damage(dataDir);
    const startedAt = performance.now();
    agent.send('job.finished', finish('after'), 'after');
    await expect(agent.receive('ack')).rejects.toThrow(/^closed/);
    expect(await exited).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const fatal = served.log.split('\n').filter((line) => line.includes('"level":"fatal"'));
    expect(fatal).toHaveLength(1);
    expect(JSON.parse(fatal[0] ?? '{}').err.message).toContain(join(dataDir, file));
  });

  test('is noticed when nobody reports, too', async () => {
    const served = await Served.start();
    const exited = served.exited();
    rmSync(join(served.dataDir, 'fleet.db'));
    const startedAt = performance.now();
    expect(await exited).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe('the files of the database', () => {
  const modes = (dataDir: string) =>
    ['fleet.db', 'fleet.db-wal', 'fleet.db-shm', 'serve.lock'].map(
      (file) => statSync(join(dataDir, file)).mode & 0o777,
    );
  const PRIVATE = [0o600, 0o600, 0o600, 0o600];

  test('are readable by their owner only, in a directory that others can read, too', async () => {
    const dataDir = temporaryDirectory();
    chmodSync(dataDir, 0o755);
    const served = await Served.start({}, dataDir);
    expect(modes(dataDir)).toEqual(PRIVATE);
    expect(served.log).toContain(`${dataDir}: other users can list the data directory`);
  });

  test('are made so if an earlier version left them otherwise', async () => {
    const dataDir = temporaryDirectory();
    const first = await Served.start({}, dataDir);
    await first.stop();
    chmodSync(join(dataDir, 'fleet.db'), 0o644);
    chmodSync(join(dataDir, 'serve.lock'), 0o640);
    const second = await Served.start({}, dataDir);
    expect(modes(dataDir)).toEqual(PRIVATE);
    expect(second.log).not.toContain('other users can');
  });
});

const onDisk = unless(whyNoSmallDisk());

onDisk.test('a full disk is logged once, and its hosts are shown offline', async () => {
  const disk = new SmallDisk();
  const served = await Served.start({}, join(disk.path, 'data'));
  const agents = await fleet(served, 20);
  await agents[0]?.report('job.finished', finish('before'), 'before');
  disk.fill();
  for (const [index, agent] of agents.entries())
    agent.send('job.finished', finish('j'), `${index}`);
  await Promise.all(agents.map((agent) => agent.closed));
  const body = await eventually(async () => {
    const body = await served.scrape();
    expect(sample(body, 'rm_hosts_online')).toBe(0);
    return body;
  });
  expect(sample(body, 'rm_store_failures_total')).toBeGreaterThan(0);
  expect(events(served, 'store_failed')).toMatchObject([
    { level: 'error', error: expect.stringMatching(/disk is full/) },
  ]);
  expect(events(served, 'store_recovered')).toEqual([]);

  disk.free();
  // The goodbyes are written by themselves.
  await eventually(() => {
    const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
    const { count } =
      db.prepare("SELECT count(*) AS count FROM hosts WHERE status = 'online'").get() ?? {};
    db.close();
    expect(count).toBe(0);
  });
  await eventually(() => expect(events(served, 'store_recovered')).toHaveLength(1));
  expect(events(served, 'store_failed')).toHaveLength(1);
});

describe('reports by HTTP', () => {
  test('wait while another process has the lock, and get 503 if it keeps it', async () => {
    const served = await Served.start();
    const [host] = await addHosts(served.dataDir, 1);
    if (host === undefined) throw new Error('a host was to be added');
    const release = holdLock(served.dataDir);
    const answered = report(served.url, host.token, [finished('a')]);
    await sleep(1_500);
    release();
    expect(await answered).toEqual([{ type: 'ack', payload: { id: 'a' } }]);
    const releaseLater = holdLock(served.dataDir);
    const body = JSON.stringify([finished('b')]);
    const { status, headers } = await postBody(served.url, host.token, body);
    expect([status, headers['retry-after']]).toEqual([503, '1']);
    releaseLater();
    expect(await report(served.url, host.token, [finished('b')])).toHaveLength(1);
    const scrape = await served.scrape();
    expect(sample(scrape, BACKUPS)).toBe(2);
    expect(sample(scrape, 'rm_agent_requests_total{code="503"}')).toBe(1);
    expect(events(served, 'agent_store_unavailable')).toEqual([
      expect.objectContaining({ code: 503, error: expect.any(String) }),
    ]);
  });

  onDisk.test('get 503 while the disk is full, and are taken when it is not', async () => {
    const disk = new SmallDisk();
    const served = await Served.start({}, disk.path);
    const { token } = await served.addHost('web');
    disk.fill();
    const long = finished('a', { status: 'failed', error: 'x'.repeat(4_000) });
    await eventually(async () => {
      const { status } = await postBody(served.url, token, JSON.stringify([long]));
      expect(status).toBe(503);
    });
    disk.free();
    expect(await report(served.url, token, [long])).toEqual([
      { type: 'ack', payload: { id: 'a' } },
    ]);
  });
});
