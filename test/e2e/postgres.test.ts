import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { createCertificate } from '../support/certificate.ts';
import { NO_POSTGRES, PostgresServer, postgresForAll } from '../support/postgres.ts';
import { needs, unless } from '../support/programs.ts';
import { cli, eventually, Served, sample, temporaryDirectory } from '../support/serve.ts';

const PASSWORD = 'hunter2';
const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';

unless(NO_POSTGRES).describe('control planes on one PostgreSQL', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll();

  function newDatabase(): { RM_DATABASE_URL: string } {
    return { RM_DATABASE_URL: server.createDatabase().replace('rm@', `rm:${PASSWORD}@`) };
  }

  async function addHost(database: Readonly<Record<string, string>>, name: string) {
    const { stdout, stderr } = await cli(['hosts', 'add', name], database);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** The address of a database as the log shows it. */
  function placeOf({ RM_DATABASE_URL }: { RM_DATABASE_URL: string }): string {
    return RM_DATABASE_URL.replace(`rm:${PASSWORD}@`, '');
  }

  /** The line `started` of the log. */
  function started({ log }: Served): Record<string, unknown> | undefined {
    const line = log.split('\n').find((text) => text.includes('"msg":"started"'));
    return line === undefined ? undefined : JSON.parse(line);
  }

  needs('openssl').test(
    'connect with TLS to a server whose certificate they check, and to no other',
    async () => {
      const certificate = createCertificate(temporaryDirectory());
      const secure = await PostgresServer.start();
      onTestFinished(() => secure.remove());
      secure.useCertificate(certificate, temporaryDirectory());
      const url = secure.createDatabase().replace('127.0.0.1', 'localhost');
      const withTls = `${url}?sslmode=verify-full&sslrootcert=${certificate.cert}`;
      const served = await Served.start({ RM_DATABASE_URL: withTls });
      expect(await served.addHost('web')).toMatchObject({ host: 'web' });
      const encrypted = 'SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid <> pg_backend_pid()';
      expect(Number(secure.sql(encrypted, url))).toBeGreaterThan(0);
      const { code, stderr } = await cli(['hosts', 'list'], {
        RM_DATABASE_URL: `${url}?sslmode=verify-full`,
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(/self.signed certificate/);
    },
  );

  it('are one control plane: a host, its agent and its finishes are on both', async () => {
    const database = newDatabase();
    const dataDir = join(temporaryDirectory(), 'none');
    const [here, there] = await Promise.all([
      Served.start(database, dataDir),
      Served.start(database, dataDir),
    ]);
    const { host_id, token } = await addHost(database, 'web');
    const agent = await TestAgent.online(here.agentUrl, token);
    await agent.job({ id: 'one', kind: 'backup', status: 'succeeded' });
    const row = `rm_host_agent_online{host_id="${host_id}",host="web"}`;
    const success = `rm_host_last_backup_success{host_id="${host_id}",host="web"}`;
    await eventually(async () => {
      const body = await there.scrape();
      expect(sample(body, row)).toBe(1);
      expect(sample(body, success)).toBe(1);
    }, 1_000);
    expect(sample(await here.scrape(), BACKUPS)).toBe(1);
    expect(sample(await there.scrape(), BACKUPS), 'counted by the other one').toBe(0);

    const newer = await TestAgent.online(there.agentUrl, token);
    expect(await agent.closed).toMatchObject({ code: 4000 });
    await newer.job({ id: 'one', kind: 'backup', status: 'succeeded' });
    expect(sample(await there.scrape(), BACKUPS), 'a repeat').toBe(0);
    await eventually(async () => expect(sample(await here.scrape(), row)).toBe(1), 1_000);

    const listed = await cli(['hosts', 'list', '--json'], database);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ host_id, status: 'online' }]);
    await cli(['hosts', 'remove', host_id], database);
    expect(await newer.closed).toMatchObject({ code: 4002 });
    for (const served of [here, there]) {
      expect(sample(await served.scrape(), row)).toBeUndefined();
      expect(await served.stop()).toBe(0);
      expect(served.log).not.toContain(PASSWORD);
    }
    expect(existsSync(dataDir), 'no data directory').toBe(false);
  });

  it('show each host once if each has a shard, also while one is added', async () => {
    const database = newDatabase();
    const shard = (text: string) => Served.start({ ...database, RM_METRICS_SHARD: text });
    const two = await Promise.all([shard('0/2'), shard('1/2')]);
    const names = Array.from({ length: 60 }, (_, n) => `host-${n}`);
    const { stdout } = await cli(['hosts', 'add', ...names, 'never connects'], database);
    const tokens = stdout
      .trim()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line).token);
    await Promise.all(
      tokens.map((token, n) => TestAgent.online(two[n % 2]?.agentUrl ?? '', token)),
    );
    const total = async (all: readonly Served[], series: string) => {
      const bodies = await Promise.all(all.map((served) => served.scrape()));
      return bodies.reduce((sum, body) => sum + (sample(body, series) ?? 0), 0);
    };
    const shown = async (all: readonly Served[]) => {
      const bodies = await Promise.all(all.map((served) => served.scrape()));
      return bodies.map((body) =>
        [...body.matchAll(/^rm_host_agent_online\{host_id="(\w+)"/gm)].map(([, id]) => id),
      );
    };
    await eventually(async () => expect(await total(two, 'rm_hosts_online')).toBe(60), 2_000);
    const [first = [], second = []] = await shown(two);
    expect(new Set([...first, ...second]).size).toBe(60);
    expect(first.length + second.length).toBe(60);
    expect(Math.min(first.length, second.length)).toBeGreaterThan(15);
    expect(await total(two, 'rm_hosts_pending')).toBe(1);
    expect(await two[1].scrape()).toContain('rm_shard{shard="1",shards="2"} 1\n');

    const third = await shard('2/3');
    expect(new Set((await shown([...two, third])).flat()).size).toBe(60);
    const again = await Promise.all(
      two.map(async (served, index) => {
        await served.stop();
        return shard(`${index}/3`);
      }),
    );
    await eventually(async () => {
      const all = (await shown([...again, third])).flat();
      expect(all).toHaveLength(60);
      expect(new Set(all).size).toBe(60);
    });
  });

  it('enrol 10,000 hosts in 5 s', async () => {
    const database = newDatabase();
    const names = Array.from({ length: 10_000 }, (_, n) => `host-${n}`);
    await addHost(database, 'first');
    const startedAt = performance.now();
    const { stdout } = await cli(['hosts', 'add', '--stdin'], database, names.join('\n'));
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(stdout.trim().split('\n')).toHaveLength(10_000);
    expect(seconds).toBeLessThan(15); // on a busy machine
  });

  it.each([
    ['cannot be reached', () => 'postgres://rm:hunter2@127.0.0.1:1/fleet', /127\.0\.0\.1:1: /],
    ['does not exist', () => server.url('none').replace('rm@', 'rm:hunter2@'), /"none"/],
  ])('do not start if the database %s, and say why', async (_, url, why) => {
    const { code, stderr } = await cli(['serve'], { RM_DATABASE_URL: url() });
    expect(code).toBe(1);
    expect(stderr).toMatch(why);
    expect(stderr).not.toContain(PASSWORD);
  });

  it('do not start with the schema of a newer version', async () => {
    const database = newDatabase();
    await addHost(database, 'web');
    server.sql('UPDATE schema_version SET version = 99', database.RM_DATABASE_URL);
    const { code, stderr } = await cli(['serve'], database);
    expect(code).toBe(1);
    expect(stderr).toContain('has schema version 99');
  });

  it('create the tables once if they start at the same time, and one of them says so', async () => {
    const database = newDatabase();
    const names = ['a', 'b', 'c'];
    const all = await Promise.all(names.map((name) => cli(['hosts', 'add', name], database)));
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(all.map(({ stderr }) => stderr).filter((stderr) => stderr !== '')).toEqual([
      `restic-manager: created the tables in ${placeOf(database)}\n`,
    ]);
    const listed = await cli(['hosts', 'list', '--json'], database);
    expect(JSON.parse(listed.stdout)).toHaveLength(3);
  });

  it('say at the start which database they use and how many hosts it has, without the password', async () => {
    const database = newDatabase();
    const path = placeOf(database);
    const first = await Served.start({ ...database, RM_LOG_LEVEL: 'info' });
    await eventually(() => expect(started(first)).toBeDefined());
    expect(started(first)).toMatchObject({ database: path, new_database: true, hosts: 0 });
    await addHost(database, 'web');
    const second = await Served.start({ ...database, RM_LOG_LEVEL: 'info' });
    await eventually(() => expect(started(second)).toBeDefined());
    expect(started(second)).toMatchObject({ database: path, hosts: 1 });
    expect(started(second)).not.toHaveProperty('new_database');
    for (const served of [first, second]) {
      expect(await served.stop()).toBe(0);
      expect(served.log).not.toContain(PASSWORD);
    }
  });

  it.each([[['list']], [['token', 'x']], [['rename', 'x', 'y']], [['remove', 'x']]])(
    'hosts %j creates no tables, and says where it looked',
    async (args) => {
      const database = newDatabase();
      const { code, stdout, stderr } = await cli(['hosts', ...args], database);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toBe(
        `restic-manager: ${placeOf(database)}: no fleet in this database; give --config or RM_DATABASE_URL (hosts add and serve create one)\n`,
      );
      const tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
      expect(server.sql(tables, database.RM_DATABASE_URL)).toBe('0');
    },
  );
});
