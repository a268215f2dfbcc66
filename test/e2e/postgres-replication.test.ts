import { spawn } from 'node:child_process';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { NO_POSTGRES, PostgresServer } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { postBody } from '../support/reports.ts';
import { cli, eventually, Served, sample } from '../support/serve.ts';

const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';

/*
 * A commit that waits for a synchronous standby is on the disk of the primary, but the primary may be lost. An
 * operator or Patroni can end the wait. PostgreSQL then reports the commit as successful, with a warning:
 * https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA
 */
unless(NO_POSTGRES).describe('a finish that no synchronous standby has', () => {
  let server: PostgresServer;
  let url: string;
  let token: string;

  beforeEach(async () => {
    server = await PostgresServer.start();
    onTestFinished(() => server.remove());
    url = server.createDatabase();
  });

  /** @param RM_DATABASE_URL may list several servers */
  async function serveOne(RM_DATABASE_URL = url): Promise<{ served: Served; agent: TestAgent }> {
    const served = await Served.start({ RM_DATABASE_URL });
    const { stdout } = await cli(['hosts', 'add', 'web'], { RM_DATABASE_URL: url });
    ({ token } = JSON.parse(stdout));
    const agent = await TestAgent.online(served.agentUrl, token);
    await backup(agent, 'before');
    return { served, agent };
  }

  const backup = (agent: TestAgent, id: string) =>
    agent.job({ id, kind: 'backup', status: 'succeeded' });

  /** Every commit waits for this standby, which does not exist; an empty name ends that. */
  async function requireStandby(name: string): Promise<void> {
    server.sql(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`, 'postgres');
    server.sql('SELECT pg_reload_conf()', 'postgres');
    if (name === '') return;
    // The processes of the server read the setting one after the other.
    await eventually(() => {
      const probe = spawn('psql', ['--no-psqlrc', '-q', url], {
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      onTestFinished(() => void probe.kill('SIGKILL'));
      probe.stdin.end("SELECT pg_logical_emit_message(true, 'probe', '');\n");
      const waiting = server.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'psql'",
        url,
      );
      expect(waiting).not.toBe('0');
    });
  }

  /** Sends a finish and waits until its commit waits for the standby. */
  async function sendAndWait(
    agent: TestAgent,
    id: string,
  ): Promise<{ acknowledged: Promise<boolean> }> {
    const acknowledged = backup(agent, id).then(
      () => true,
      () => false,
    );
    await eventually(() => expect(waiting('count(*)')).not.toBe('0'));
    return { acknowledged };
  }

  /** @returns the HTTP status */
  async function report({ url }: Served, hostToken: string): Promise<number> {
    const at = '2026-01-02T03:04:05Z';
    const payload = { job_id: 'r', kind: 'backup', started_at: at, finished_at: at };
    const message = { type: 'job.finished', id: '1', payload: { ...payload, status: 'succeeded' } };
    return (await postBody(url, hostToken, JSON.stringify([message]))).status;
  }

  function waiting(select: string): string {
    return server.sql(
      `SELECT ${select} FROM pg_stat_activity
       WHERE wait_event = 'SyncRep' AND application_name = 'restic-manager'
         AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'hosts'::regclass AND mode = 'RowShareLock')`,
      url,
    );
  }

  function stored(on = url): string {
    return server.sql('SELECT count(*) FROM jobs WHERE status IS NOT NULL', on);
  }

  it.each(['pg_cancel_backend', 'pg_terminate_backend'])(
    'is not acknowledged when %s ends the wait, and counts once',
    async (end) => {
      const { served, agent } = await serveOne();
      await requireStandby('absent');
      const { acknowledged } = await sendAndWait(agent, 'x');
      waiting(`${end}(pid)`);
      expect(await acknowledged).toBe(false);
      expect(await agent.closed).toMatchObject({ code: 1013 });
      await eventually(() => expect(stored(), 'it is committed at the primary').toBe('2'));
      await requireStandby('');
      await backup(await eventually(() => TestAgent.online(served.agentUrl, token)), 'x');
      expect(stored()).toBe('2');
      await eventually(async () => expect(sample(await served.scrape(), BACKUPS)).toBe(2));
      expect(served.log).toContain('"event":"store_recovered"');
    },
  );

  it('keeps only one connection, however many finishes follow', async () => {
    const { served, agent } = await serveOne();
    const { stdout } = await cli(['hosts', 'add', 'db', 'mail', 'ns'], { RM_DATABASE_URL: url });
    const others = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).token as string);
    await requireStandby('absent');
    const { acknowledged } = await sendAndWait(agent, 'x');
    expect(await acknowledged).toBe(false);
    for (const other of others) expect(await report(served, other)).toBe(503);
    const count = server.sql(
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'restic-manager'",
      url,
    );
    expect(count).toBe('1');
    expect(served.log).not.toContain('statement timeout');
    await requireStandby('');
    for (const other of others) {
      await eventually(async () => expect(await report(served, other)).toBe(200));
    }
    await eventually(() => expect(stored()).toBe('5'));
  });

  it('is not acknowledged after a failover, although another transaction has its number there', async () => {
    const port = await freePort();
    const { served, agent } = await serveOne(
      url.replace(`:${server.port}/`, `:${server.port},127.0.0.1:${port}/`),
    );
    const promoted = server.copy(port);
    onTestFinished(() => promoted.remove());
    const there = promoted.url(new URL(url).pathname.slice(1));
    promoted.sql('SELECT pg_current_xact_id();\n'.repeat(1_000), there);
    await requireStandby('absent');
    const { acknowledged } = await sendAndWait(agent, 'x');
    const transaction = waiting('backend_xid');
    expect(promoted.sql(`SELECT pg_xact_status('${transaction}'::xid8)`, there)).toBe('committed');
    server.stop('immediate');
    expect(await acknowledged).toBe(false);
    expect(stored(there)).toBe('1');
    await backup(await eventually(() => TestAgent.online(served.agentUrl, token)), 'x');
    expect(stored(there)).toBe('2');
    expect(sample(await served.scrape(), BACKUPS)).toBe(2);
  });

  it('is sent to another server if the first one is a primary that no standby follows any more', async () => {
    const port = await freePort();
    const { served, agent } = await serveOne(
      url.replace(`:${server.port}/`, `:${server.port},127.0.0.1:${port}/`),
    );
    const promoted = server.copy(port);
    onTestFinished(() => promoted.remove());
    await requireStandby('absent');
    const { acknowledged } = await sendAndWait(agent, 'x');
    expect(await acknowledged).toBe(false);
    await eventually(async () => backup(await TestAgent.online(served.agentUrl, token), 'x'));
    expect(stored(promoted.url(new URL(url).pathname.slice(1)))).toBe('2');
    expect(stored(), 'nobody has used the first one').toBe('1');
    expect(sample(await served.scrape(), BACKUPS)).toBe(2);
  });
});
