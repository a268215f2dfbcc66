import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { FakeClock, whyNoFakeClock } from '../support/fake-clock.ts';
import { NO_PGBOUNCER, Pgbouncer } from '../support/pgbouncer.ts';
import { NO_POSTGRES, PostgresServer, postgresForAll } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { finished, postBody } from '../support/reports.ts';
import { cli, eventually, Served, sample, type Variables } from '../support/serve.ts';
import { SmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';

const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
const HOUR_MS = 3_600_000;

unless(NO_POSTGRES).describe('control planes on a PostgreSQL', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll();
  let url: string;

  beforeEach(() => {
    url = server.createDatabase();
  });

  const start = (RM_DATABASE_URL = url, variables: Variables = {}) =>
    Served.start({ RM_DATABASE_URL, ...variables });
  const backup = (agent: TestAgent, id: string) =>
    agent.job({ id, kind: 'backup', status: 'succeeded' });

  async function addHost(name = 'web'): Promise<{ host_id: string; token: string }> {
    const { stdout, stderr } = await cli(['hosts', 'add', name], { RM_DATABASE_URL: url });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** Connects as an agent does: again and again. */
  const reconnect = (served: Served, token: string) =>
    eventually(() => TestAgent.online(served.agentUrl, token), 30_000);

  async function failures(served: Served): Promise<number> {
    return sample(await served.scrape(), 'rm_store_failures_total') ?? 0;
  }

  function stored(): string {
    return server.sql('SELECT count(*) FROM jobs WHERE status IS NOT NULL', url);
  }

  it('acknowledge nothing while it is stopped, show what they know, and continue by themselves', async () => {
    const served = await start();
    const { host_id, token } = await addHost();
    const agent = await TestAgent.online(served.agentUrl, token);
    await backup(agent, 'before');
    server.stop();
    onTestFinished(() => {
      if (!server.isRunning) server.run();
    });
    agent.send(
      'job.finished',
      {
        job_id: 'x',
        kind: 'backup',
        status: 'succeeded',
        started_at: '2026-01-02T03:04:05Z',
        finished_at: '2026-01-02T03:04:06Z',
      },
      'x',
    );
    expect(await agent.closed).toMatchObject({ code: 1013 });
    const { status } = await postBody(served.url, token, JSON.stringify([finished('y')]));
    expect(status).toBe(503);
    const body = await served.scrape();
    expect(sample(body, `rm_host_last_backup_success{host_id="${host_id}",host="web"}`)).toBe(1);
    expect(sample(body, `rm_host_agent_online{host_id="${host_id}",host="web"}`)).toBe(0);
    expect(await failures(served)).toBeGreaterThan(0);
    expect((await fetch(`${served.url}/healthz`)).status).toBe(200);

    server.run();
    const back = await reconnect(served, token);
    await backup(back, 'after');
    expect(stored()).toBe('2');
    expect(sample(await served.scrape(), BACKUPS)).toBe(2);
    expect(served.log).toContain('"event":"store_recovered"');
    expect(await served.stop()).toBe(0);
  });

  unless(NO_PGBOUNCER).test.each(['session', 'transaction'] as const)(
    'continue when their connections are cut: pgbouncer in %s mode is killed and started',
    async (mode) => {
      const bouncer = await Pgbouncer.start(server.port, mode);
      const [here, there] = await Promise.all([start(bouncer.url(url)), start(bouncer.url(url))]);
      const { token } = await addHost();
      const agent = await TestAgent.online(here.agentUrl, token);
      await backup(agent, '1');
      bouncer.stop();
      await backup(agent, '1b').catch(() => {});
      expect(await agent.closed).toMatchObject({ code: 1013 });
      await bouncer.run();
      await backup(await reconnect(there, token), '2');
      server.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()`,
        url,
      );
      await backup(await reconnect(here, token), '3');
      expect(stored()).toBe('3');
      await eventually(async () => {
        for (const served of [here, there]) {
          expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(1);
        }
      });
      for (const served of [here, there]) expect(await served.stop()).toBe(0);
    },
  );

  it('are not held by a statement that hangs, and end in time meanwhile', async () => {
    const served = await start();
    const { token } = await addHost();
    const agent = await TestAgent.online(served.agentUrl, token);
    const lock = holdTable(url);
    await eventually(() => {
      const locks = server.sql(
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'hosts'::regclass",
        url,
      );
      expect(locks).toBe('1');
    });
    const askedAt = performance.now();
    const finish = backup(agent, '1').catch(() => {});
    expect(await agent.closed).toMatchObject({ code: 1013 });
    await finish;
    expect(performance.now() - askedAt).toBeLessThan(8_000);
    expect(sample(await served.scrape(), 'rm_hosts_total'), 'scrapes continue').toBe(1);
    expect(served.log).toContain('statement timeout');
    const endedAt = performance.now();
    expect(await served.stop()).toBe(0);
    expect(performance.now() - endedAt).toBeLessThan(10_000);
    lock.kill('SIGKILL');
  });

  it('count a finish once when its acknowledgement is lost with the connection', async () => {
    const served = await start();
    const { token } = await addHost();
    const agent = await TestAgent.online(served.agentUrl, token);
    let sent = 0;
    const cutting = (async () => {
      for (let n = 0; n < 15; n++) {
        await sleep(40);
        server.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()`,
          url,
        );
      }
    })();
    let current = agent;
    let isCut = false;
    void cutting.then(() => {
      isCut = true;
    });
    while (!isCut) {
      const id = `${++sent}`;
      for (;;) {
        try {
          await backup(current, id);
          break;
        } catch {
          current = await reconnect(served, token);
        }
      }
    }
    expect(sent).toBeGreaterThan(0);
    expect(stored()).toBe(String(sent));
    expect(sample(await served.scrape(), BACKUPS)).toBe(sent);
  });

  it('keep what they acknowledged when one is killed, whose hosts go to the others', async () => {
    const [here, there] = await Promise.all([start(), start()]);
    const { token } = await addHost();
    const agent = await TestAgent.online(here.agentUrl, token);
    const ids = Array.from({ length: 50 }, (_, n) => `${n}`);
    for (const id of ids) await backup(agent, id);
    await here.stop('SIGKILL');
    const next = await reconnect(there, token);
    for (const id of ids) await backup(next, id);
    expect(stored()).toBe('50');
    expect(sample(await there.scrape(), BACKUPS), 'all are repeats').toBe(0);
    expect(sample(await there.scrape(), 'rm_hosts_online')).toBe(1);
  });

  it('mark the hosts of a killed instance offline after 30 s', async () => {
    const [here, there] = await Promise.all([start(), start()]);
    const { token } = await addHost();
    await TestAgent.online(here.agentUrl, token);
    await eventually(async () => expect(sample(await there.scrape(), 'rm_hosts_online')).toBe(1));
    await here.stop('SIGKILL');
    await sleep(10_000);
    expect(sample(await there.scrape(), 'rm_hosts_online'), 'it may come back').toBe(1);
    await eventually(
      async () => expect(sample(await there.scrape(), 'rm_hosts_online')).toBe(0),
      35_000,
    );
  });

  it('agree again after one was stopped for a minute: its agents are where they last connected', async () => {
    const [here, there] = await Promise.all([start(), start()]);
    const [stays, moves] = [await addHost('stays'), await addHost('moves')];
    const [staying, moving] = [
      await TestAgent.online(here.agentUrl, stays.token),
      await TestAgent.online(here.agentUrl, moves.token),
    ];
    const online = async (served: Served, { host_id }: { host_id: string }, host: string) =>
      sample(await served.scrape(), `rm_host_agent_online{host_id="${host_id}",host="${host}"}`);
    await eventually(async () => expect(sample(await there.scrape(), 'rm_hosts_online')).toBe(2));
    await sleep(25_000); // so that the other one may judge
    process.kill(here.pid, 'SIGSTOP');
    await sleep(15_000);
    const moved = await TestAgent.online(there.agentUrl, moves.token);
    await eventually(async () => {
      expect(await online(there, stays, 'stays'), 'it is taken for gone').toBe(0);
      expect(await online(there, moves, 'moves')).toBe(1);
    }, 40_000);
    process.kill(here.pid, 'SIGCONT');
    expect(await moving.closed).toMatchObject({ code: 4000 });
    await eventually(async () => {
      for (const served of [here, there]) {
        expect(await online(served, stays, 'stays')).toBe(1);
        expect(await online(served, moves, 'moves')).toBe(1);
      }
    });
    await backup(staying, '1');
    await backup(moved, '1');
    expect(stored()).toBe('2');
  }, 150_000);

  unless(whyNoFakeClock()).test.each([1, -1])(
    'show the same of a host if the clock of one is %s h ahead',
    async (hours) => {
      const clock = new FakeClock('wall');
      clock.set(hours * 3_600);
      const wrong = await start(url, clock.variables);
      const right = await start();
      const { host_id, token } = await addHost();
      const finishedAt = new Date(Date.now() - 60_000).toISOString();
      const agent = await TestAgent.online(wrong.agentUrl, token);
      await agent.job({ id: '1', kind: 'backup', status: 'succeeded', finishedAt });
      const row = `rm_host_last_backup_timestamp_seconds{host_id="${host_id}",host="web"}`;
      await eventually(async () => {
        for (const served of [wrong, right]) {
          const body = await served.scrape();
          expect(sample(body, row)).toBe(Date.parse(finishedAt) / 1_000);
          expect(sample(body, 'rm_hosts_online')).toBe(1);
        }
      });
      const ahead = new Date(Date.now() + HOUR_MS / 2).toISOString();
      await agent.job({ id: '2', kind: 'backup', status: 'succeeded', finishedAt: ahead });
      const shown = sample(await wrong.scrape(), row) ?? 0;
      expect(Math.abs(shown * 1_000 - Date.now()), 'the clock of the database counts').toBeLessThan(
        30_000,
      );
    },
  );
});

unless(NO_POSTGRES || whyNoSmallDisk()).describe('on a PostgreSQL whose disk is full', () => {
  it('nothing is acknowledged, and everything continues once there is room', async () => {
    const server = await PostgresServer.start();
    onTestFinished(() => server.remove());
    const url = server.createDatabase();
    const disk = new SmallDisk('40m');
    server.sql(`CREATE TABLESPACE small LOCATION '${server.ownDirectory(disk.path)}'`, url);
    const served = await Served.start({ RM_DATABASE_URL: url });
    const { stdout } = await cli(['hosts', 'add', 'web'], { RM_DATABASE_URL: url });
    const { token } = JSON.parse(stdout);
    server.sql('ALTER TABLE jobs SET TABLESPACE small', url);
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: 'before', kind: 'backup', status: 'succeeded' });
    disk.fill();
    let failed = 0;
    let current = agent;
    for (let n = 0; n < 400 && failed === 0; n++) {
      const error = 'x'.repeat(4_000);
      await current
        .report(
          'job.finished',
          {
            job_id: `${n}`,
            kind: 'check',
            status: 'failed',
            started_at: '2026-01-02T03:04:05Z',
            finished_at: '2026-01-02T03:04:06Z',
            error: `${error}${Math.random()}`,
          },
          `${n}`,
        )
        .catch(() => failed++);
    }
    expect(failed).toBe(1);
    expect(await current.closed).toMatchObject({ code: 1013 });
    expect(served.log).toContain('No space left on device');
    expect(sample(await served.scrape(), 'rm_hosts_total')).toBe(1);
    disk.free();
    current = await eventually(() => TestAgent.online(served.agentUrl, token));
    await current.job({ id: 'after', kind: 'backup', status: 'succeeded' });
    expect(await served.stop()).toBe(0);
  });
});

/** A client that holds a lock on the table `hosts` until it is killed. */
function holdTable(url: string): ChildProcess {
  const psql = spawn('psql', ['--no-psqlrc', '-q', url], { stdio: ['pipe', 'ignore', 'inherit'] });
  psql.stdin.write('BEGIN; LOCK TABLE hosts IN ACCESS EXCLUSIVE MODE;\n');
  onTestFinished(() => void psql.kill('SIGKILL'));
  return psql;
}
