import { expect, it, onTestFinished } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { NO_POSTGRES, postgresForAll } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { finished, postBody } from '../support/reports.ts';
import { aboutFleet, cli, Served, temporaryDirectory } from '../support/serve.ts';

unless(NO_POSTGRES).describe('restic-manager import', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll();

  /** A fleet in SQLite: one host of each kind. */
  async function fleet(): Promise<{ dataDir: string; token: string; body: string; list: string }> {
    const served = await Served.start();
    const { token } = await served.addHost('connected "1"');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: 'a', kind: 'backup', status: 'succeeded', announce: true });
    await agent.job({ id: 'nul\0', kind: 'check', status: 'failed', durationMs: 61_000 });
    await agent.job({ id: 'f', kind: 'forget', status: 'failed' });
    await agent.report(
      'job.started',
      { job_id: 'runs', kind: 'prune', started_at: '2026-01-02T03:04:05Z' },
      'r',
    );
    await agent.report(
      'repo.stats',
      { total_size_bytes: 2 ** 50, snapshot_count: 7, repo_status: 'ready' },
      's',
    );
    const cron = await served.addHost('cron');
    await postBody(served.url, cron.token, JSON.stringify([finished('c')]));
    await served.addHost('pending');
    agent.close();
    await served.stop();
    const again = await Served.start({}, served.dataDir);
    const body = aboutFleet(await again.scrape());
    const { stdout: list } = await cli(['hosts', 'list', '--json'], {
      RM_DATA_DIR: served.dataDir,
    });
    await again.stop();
    return { dataDir: served.dataDir, token, body, list };
  }

  const importInto = (url: string, dataDir: string) =>
    cli(['import', '--from', dataDir], { RM_DATABASE_URL: url });

  it('copies all that is shown and all that is remembered, once', async () => {
    const { dataDir, token, body, list } = await fleet();
    const url = server.createDatabase();
    const { code, stdout, stderr } = await importInto(url, dataDir);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      'imported 3 hosts, 5 jobs and 2 open alerts; the copy is equal to the original\n',
    );
    const listed = await cli(['hosts', 'list', '--json'], { RM_DATABASE_URL: url });
    expect(listed.stdout).toBe(list);
    // The clock by which jobs are forgotten.
    expect(server.sql('SELECT count(*) FROM clock', url)).toBe('1');
    const served = await Served.start({ RM_DATABASE_URL: url });
    expect(aboutFleet(await served.scrape())).toBe(body);
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: 'a', kind: 'backup', status: 'succeeded' });
    await agent.job({ id: 'nul\0', kind: 'check', status: 'failed', durationMs: 61_000 });
    expect(await served.scrape(), 'repeats').toContain(
      'rm_job_duration_seconds_count{kind="backup",status="succeeded"} 0\n',
    );
    await served.stop();

    const second = await importInto(url, dataDir);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('already has hosts');
  });

  it('marks hosts offline whose agents were connected when the server was killed', async () => {
    const source = await Served.start();
    const { token } = await source.addHost('connected');
    await TestAgent.online(source.agentUrl, token);
    const cron = await source.addHost('cron');
    await postBody(source.url, cron.token, JSON.stringify([finished('c')]));
    await source.addHost('pending');
    await source.stop('SIGKILL');
    const url = server.createDatabase();
    const before = Date.now();
    const { code, stderr } = await importInto(url, source.dataDir);
    expect([code, stderr]).toEqual([0, '']);
    // Its alert is due 15 minutes after the import.
    const sinceMs = server.sql(
      'SELECT host, offline_since FROM hosts WHERE offline_since IS NOT NULL',
      url,
    );
    const [host, offlineSince] = sinceMs.split('|');
    expect(host).toBe('connected');
    expect(Number(offlineSince)).toBeGreaterThanOrEqual(before);
    // Without a server the list would call every host offline that has only a connection.
    await Served.start({ RM_DATABASE_URL: url });
    const { stdout } = await cli(['hosts', 'list', '--json'], { RM_DATABASE_URL: url });
    const listed = JSON.parse(stdout) as { host: string; status: string }[];
    expect(listed.map(({ host, status }) => [host, status])).toEqual([
      ['connected', 'offline'],
      ['cron', 'online'],
      ['pending', 'pending'],
    ]);
  });

  it('changes nothing in a database that is served, and reads none that is', async () => {
    const { dataDir } = await fleet();
    const url = server.createDatabase();
    await Served.start({ RM_DATABASE_URL: url });
    const served = await importInto(url, dataDir);
    expect([served.code, served.stderr]).toEqual([1, expect.stringContaining('is in use')]);
    const source = await Served.start({}, dataDir);
    onTestFinished(() => void source.stop('SIGKILL'));
    const used = await importInto(server.createDatabase(), dataDir);
    expect([used.code, used.stderr]).toEqual([
      1,
      expect.stringContaining('serves this data directory'),
    ]);
  });

  it.each([
    ['no directory', [], /--from DIR is missing/],
    ['a directory without a fleet', ['--from', temporaryDirectory(() => {})], /has no fleet\.db/],
  ])('says what is missing: %s', async (_, args, why) => {
    const { code, stderr } = await cli(['import', ...args], {
      RM_DATABASE_URL: server.url('none'),
    });
    expect(code).toBe(2);
    expect(stderr).toMatch(why);
  });

  it('needs a database to import into', async () => {
    const { code, stderr } = await cli(['import', '--from', '.']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('database_url is not set')]);
  });
});
