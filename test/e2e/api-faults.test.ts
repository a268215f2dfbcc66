import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { MAX_WAITING_QUERIES } from '../../src/loop/doors/query-thread.ts';
import { TestAgent } from '../support/agent.ts';
import { askApi } from '../support/api.ts';
import { NO_POSTGRES, postgresForAll } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import { cli, eventually, Served, sample } from '../support/serve.ts';

it('another process that writes to the SQLite database delays no answer', async () => {
  const served = await Served.start();
  const { host_id, token } = await served.addHost('web');
  await report(served.url, token, [finished('one', { status: 'failed', error: 'full' })]);
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'));
  db.exec('BEGIN EXCLUSIVE');
  expect((await askApi(served.url, '/api/fleet')).json).toMatchObject({ hosts: 1 });
  expect((await askApi(served.url, `/api/hosts/${host_id}`)).json.jobs).toMatchObject([
    { job_id: 'one', error: 'full' },
  ]);
  db.exec('ROLLBACK');
  db.close();
});

unless(NO_POSTGRES).describe('the API on a PostgreSQL with troubles', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll();

  async function start(variables: Readonly<Record<string, string>> = {}) {
    const RM_DATABASE_URL = server.createDatabase();
    const served = await Served.start({ RM_DATABASE_URL, ...variables });
    const added = await cli(['hosts', 'add', 'web', 'db', 'pending'], { RM_DATABASE_URL });
    const hosts = added.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { served, hosts, url: RM_DATABASE_URL };
  }

  /** Holds a lock that blocks every read of the jobs. */
  async function lockJobs(url: string): Promise<ChildProcess> {
    const locker = spawn('psql', ['--no-psqlrc', '-qAt', url], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void locker.kill());
    locker.stdin.write("BEGIN; LOCK TABLE jobs; SELECT 'locked';\n");
    await new Promise((resolve) => locker.stdout.once('data', resolve));
    return locker;
  }

  it('a read that waits for a lock is 503 in time, the list continues, and so does everything afterwards', async () => {
    const { served, hosts, url } = await start();
    const path = `/api/hosts/${hosts[0].host_id}`;
    await report(served.url, hosts[0].token, [finished('one')]);
    expect((await askApi(served.url, path)).status).toBe(200);
    const locker = await lockJobs(url);
    const startedAt = performance.now();
    const stuck = askApi(served.url, path);
    expect((await askApi(served.url, '/api/hosts')).json.hosts).toHaveLength(3);
    const { status, headers, json } = await stuck;
    expect(performance.now() - startedAt).toBeLessThan(6_000);
    expect({ status, json }).toMatchObject({ status: 503, json: { error: { code: 'too_late' } } });
    expect(headers['retry-after']).toBe('1');
    expect(headers['cache-control']).toBe('no-store');
    expect(JSON.stringify(json)).not.toMatch(/postgres|timeout/i);
    const body = await served.scrape();
    expect(sample(body, 'rm_api_requests_total{code="503"}')).toBe(1);
    expect(sample(body, 'rm_api_refusals_total{reason="too_late"}')).toBe(1);
    expect(served.log).toMatch(/"event":"api_failed","code":"api_too_late","error":"PostgreSQL: /);

    // A whole crowd gets an answer, too.
    const crowd = await Promise.all(
      Array.from({ length: MAX_WAITING_QUERIES + 20 }, () => askApi(served.url, path)),
    );
    expect(new Set(crowd.map(({ status }) => status))).toEqual(new Set([503]));
    const codes = crowd.map(({ json }) => json.error.code);
    expect(codes.filter((code) => code === 'too_many_requests').length).toBeGreaterThanOrEqual(20);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    locker.stdin?.end('ROLLBACK;\n');
    await eventually(async () => expect((await askApi(served.url, path)).status).toBe(200));
    // And it ends while a read waits.
    await lockJobs(url);
    const cut = askApi(served.url, path).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const stoppedAt = performance.now();
    expect(await served.stop()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(10_000);
    await cut;
  });

  it('while it is stopped the list and the fleet continue, a host is 503, and works again afterwards', async () => {
    const { served, hosts } = await start();
    const path = `/api/hosts/${hosts[0].host_id}`;
    await report(served.url, hosts[0].token, [finished('one')]);
    server.stop();
    onTestFinished(() => {
      if (!server.isRunning) server.run();
    });
    const { status, json } = await askApi(served.url, path);
    expect({ status, json }).toMatchObject({ status: 503, json: { error: { code: 'failed' } } });
    const fleet = await askApi(served.url, '/api/fleet');
    expect(fleet).toMatchObject({ status: 200, json: { hosts: 1, pending: 2, running: null } });
    expect(fleet.json.finished_jobs.succeeded).toBe(1);
    // Nothing fails silently: the answer with a gap is counted, too.
    expect(sample(await served.scrape(), 'rm_api_refusals_total{reason="failed"}')).toBe(2);
    expect(served.log).toMatch(/"event":"api_failed","code":"api_failed","error":"PostgreSQL: /);
    expect((await askApi(served.url, '/api/hosts')).json.hosts).toHaveLength(3);
    server.run();
    await eventually(async () => {
      expect((await askApi(served.url, path)).json.jobs).toMatchObject([{ job_id: 'one' }]);
    });
    expect((await askApi(served.url, '/api/fleet')).json.running).toMatchObject({ backup: 0 });
  });

  it('every instance shows the whole fleet, whatever its shard', async () => {
    const { served: here, hosts, url } = await start({ RM_METRICS_SHARD: '0/2' });
    const there = await Served.start({ RM_DATABASE_URL: url, RM_METRICS_SHARD: '1/2' });
    const agent = await TestAgent.online(here.agentUrl, hosts[0].token);
    await agent.job({ id: 'a', kind: 'backup', status: 'failed' });
    await report(there.url, hosts[1].token, [finished('b')]);
    for (const { url } of [here, there]) {
      await eventually(async () => {
        const { json } = await askApi(url, '/api/hosts');
        expect(json.hosts).toMatchObject([
          { host: 'web', state: 'failed', status: 'online', alerts: ['backup_failed'] },
          { host: 'db', state: 'ok', status: 'online' },
          { host: 'pending', state: 'pending' },
        ]);
        const fleet = await askApi(url, '/api/fleet');
        expect(fleet.json).toMatchObject({ hosts: 2, online: 2, pending: 1 });
      });
    }
    agent.close();
    for (const { url } of [here, there]) {
      await eventually(async () => {
        const { json } = await askApi(url, `/api/hosts/${hosts[0].host_id}`);
        expect(json).toMatchObject({ status: 'offline', jobs: [{ job_id: 'a' }] });
      });
    }
  });
});
