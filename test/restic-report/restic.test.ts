import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { askApi } from '../support/api.ts';
import { needs } from '../support/programs.ts';
import { cli, Served } from '../support/serve.ts';
import { type Environment, ended, PROGRAMS, ReportingHost, SHELLS } from './rig.ts';

interface Job {
  readonly row: string;
  readonly error: string;
  readonly snapshot: string;
}

function jobs(served: Served): Job[] {
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
  const sql = `SELECT kind || ' ' || status || ' ' || exit_code AS row, coalesce(error, '') AS error,
    coalesce(snapshot_id, '') AS snapshot FROM jobs ORDER BY seq`;
  const rows = db.prepare(sql).all() as unknown as Job[];
  db.close();
  return rows;
}

const rows = (served: Served) => jobs(served).map(({ row }) => row);

async function setUp(shell?: readonly string[]) {
  const served = await Served.start();
  const { token, host_id: id } = await served.addHost('cron');
  const host = new ReportingHost(served.url, token, shell);
  const variables = host.repository();
  const run = (args: readonly string[], env: Environment = {}) =>
    host.run(['--', 'restic', ...args], { ...variables, ...env });
  const direct = (...args: string[]) =>
    execFileSync('restic', args, { env: { ...host.env, ...variables }, encoding: 'utf8' });
  const value = async (family: string) => {
    const body = await served.scrape();
    return Number(new RegExp(`^${family}{host_id="${id}".*} (\\S+)$`, 'm').exec(body)?.[1]);
  };
  return { served, host, run, direct, value };
}

needs('restic', ...PROGRAMS).describe('real restic', () => {
  for (const { program, command } of SHELLS) {
    const name = `under ${command.join(' ')}: each command is reported with its kind and how it ended`;
    needs(program).test(name, async () => {
      const { served, host, run, direct, value } = await setUp(command);
      const again = { RESTIC_REPOSITORY: join(host.directory, 'second') };
      expect((await run(['init'], again)).code).toBe(0);
      expect((await run(['init'], again)).code, 'there is one').toBe(1);
      expect((await run(['backup', host.files])).code).toBe(0);
      writeFileSync(join(host.files, 'b'), 'x'.repeat(100_000));
      expect((await run(['backup', '-q', host.files])).code).toBe(0);
      expect(await value('rm_host_snapshot_count')).toBe(2);
      const ids = JSON.parse(direct('snapshots', '--json')).map(({ id }: { id: string }) => id);
      expect(
        jobs(served)
          .slice(2)
          .map(({ snapshot }) => snapshot),
      ).toEqual(ids);
      expect((await run(['diff', ...ids])).code).toBe(0);
      const out = join(host.directory, 'restored');
      expect((await run(['restore', 'latest', '--target', out])).code).toBe(0);
      expect((await run(['forget', '--keep-last', '1', '--dry-run'])).code).toBe(0);
      expect((await run(['forget', '--keep-last', '1'])).code).toBe(0);
      expect(await value('rm_host_snapshot_count')).toBe(1);
      expect((await run(['forget', '--keep-last', '1', '--prune'])).code).toBe(0);
      expect((await run(['prune'])).code).toBe(0);
      const size = JSON.parse(direct('stats', '--mode', 'raw-data', '--json')).total_size;
      expect(await value('rm_host_repo_size_bytes')).toBe(size);
      expect((await run(['check'])).code).toBe(0);
      expect((await run(['unlock'])).code).toBe(0);
      const update = await run(['self-update']);
      expect(update.code, 'Debian has built it without').toBe(1);
      const wrong = await run(['backup', host.files], { RESTIC_PASSWORD: 'wrong' });
      expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/wrong password/)]);
      expect(rows(served)).toEqual([
        'init succeeded 0',
        'init failed 1',
        'backup succeeded 0',
        'backup succeeded 0',
        'diff succeeded 0',
        'restore succeeded 0',
        'forget succeeded 0',
        'forget succeeded 0',
        'prune succeeded 0',
        'check succeeded 0',
        'unlock succeeded 0',
        'update failed 1',
        'backup failed 1',
      ]);
      expect(jobs(served).at(-1)?.error).toContain('wrong password');
      expect(await value('rm_host_last_backup_success')).toBe(0);
      expect(host.left).toEqual(['stats-at']);
    });
  }

  test('why it failed is shown with the words of restic', async () => {
    const { served, host, run } = await setUp();
    await run(['init']);
    await run(['backup', host.files], { RESTIC_PASSWORD: 'wrong' });
    const [{ host_id }] = (await askApi(served.url, '/api/hosts?state=failed')).json.hosts;
    const { jobs } = (await askApi(served.url, `/api/hosts/${host_id}`)).json;
    expect(jobs[0]).toMatchObject({ kind: 'backup', status: 'failed', exit_code: 1 });
    expect(jobs[0].error).toContain('wrong password');
    const { stdout } = await cli(['hosts', 'show', host_id], { RM_DATA_DIR: served.dataDir });
    expect(stdout).toMatch(/backup +failed +1 .*\n(.*\n)*? {4}.*wrong password/);
  });

  test("the user's own output is the same, byte for byte, and so is JSON", async () => {
    const { host, run, direct } = await setUp();
    const own = ['--json', 'snapshots'];
    expect((await run(own)).stdout).toBe(direct(...own));
    const flags = ['-r', join(host.directory, 'repo'), '--json', '-o', 'local.layout=default'];
    const summary = (text: string) => JSON.parse(text.trim().split('\n').at(-1) ?? '').message_type;
    expect(summary((await run([...flags, 'backup', host.files])).stdout)).toBe('summary');
    const stats = ['stats', '--json'];
    expect((await run(stats)).stdout).toBe(direct(...stats));
    const list = ['-q', 'check'];
    expect((await run(list)).stdout).toBe(direct(...list));
  });

  test('a password that comes from a file named in front of the command is used for the sizes, too', async () => {
    const { host, run, value } = await setUp();
    const file = join(host.directory, 'a "password" file');
    writeFileSync(file, 'secret\n');
    const env = { RESTIC_PASSWORD: '', RESTIC_REPOSITORY: '' };
    const args = [
      '--password-file',
      file,
      '-o',
      'local.connections=2',
      '-r',
      join(host.directory, 'repo'),
    ];
    expect(await run([...args, 'backup', '-q', host.files], env)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await value('rm_host_snapshot_count')).toBe(1);
    expect(await value('rm_host_repo_size_bytes')).toBeGreaterThan(0);
  });

  needs('setpriv').test('a file that cannot be read makes the backup incomplete', async () => {
    const { served, host, run } = await setUp();
    // Root can read files without any permission.
    const asUser = host.leaveRoot().join(' ');
    writeFileSync(join(host.files, 'secret'), 'nobody may read this');
    chmodSync(join(host.files, 'secret'), 0o000);
    const restic = host.program(`exec ${asUser} restic "$@"`);
    chmodSync(join(host.directory), 0o755);
    const { code } = await host.run(['--', restic, 'backup', host.files], {
      RESTIC_REPOSITORY: join(host.directory, 'repo'),
      RESTIC_PASSWORD: 'secret',
      RESTIC_CACHE_DIR: join(host.directory, 'cache'),
    });
    expect(code).toBe(3);
    const [job] = jobs(served);
    expect([job?.row, job?.error]).toEqual([
      'backup succeeded 3',
      expect.stringMatching(/permission denied/),
    ]);
    expect(await served.scrape()).toContain('rm_active_alerts{severity="info"} 1\n');
    expect((await run(['check'])).code).toBe(0);
  });

  test.each([
    ['SIGINT', 130, null, 'backup cancelled 130'],
    ['SIGTERM', null, 'SIGTERM', 'backup cancelled 143'],
  ] as const)(
    '%s during a backup ends restic as without the script',
    async (signal, code, by, row) => {
      const { served, host } = await setUp();
      const large = join(host.directory, 'files', 'large');
      mkdirSync(large, { recursive: true });
      execFileSync('sh', ['-c', `head -c 300000000 /dev/urandom > ${large}/random`]);
      const env = {
        RESTIC_REPOSITORY: join(host.directory, 'repo'),
        RESTIC_PASSWORD: 'secret',
        RESTIC_CACHE_DIR: join(host.directory, 'cache'),
        // Slow, so that the signal comes in the middle.
        RESTIC_READ_CONCURRENCY: '1',
        GOMAXPROCS: '1',
      };
      const child = host.start(['--', 'restic', '--limit-upload', '2000', 'backup', large], env);
      const end = ended(child);
      const locks = join(host.directory, 'repo', 'locks');
      for (let n = 0; n < 200; n++) {
        if (execFileSync('ls', [locks], { encoding: 'utf8' }) !== '') break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
      child.kill(signal);
      const result = await end;
      expect([result.code, result.signal]).toEqual([code, by]);
      expect(rows(served)).toEqual([row]);
    },
  );
});
