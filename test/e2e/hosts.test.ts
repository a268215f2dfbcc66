import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { TestAgent } from '../support/agent.ts';
import { CLI } from '../support/cli.ts';
import { needs } from '../support/programs.ts';
import {
  addHosts,
  type CliResult,
  cli,
  eventually,
  Served,
  sample,
  temporaryDirectory,
} from '../support/serve.ts';

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

interface Added {
  readonly host_id: string;
  readonly host: string;
  readonly token: string;
}

/** `hosts ARGS` on one data directory. */
function hostsOf(dataDir: string): (...args: string[]) => Promise<CliResult> {
  return (...args) => cli(['hosts', ...args], { RM_DATA_DIR: dataDir });
}

async function add(dataDir: string, name: string): Promise<Added> {
  const { code, stdout, stderr } = await hostsOf(dataDir)('add', name);
  const created = `restic-manager: created a new database: ${join(dataDir, 'fleet.db')}\n`;
  expect(code).toBe(0);
  expect(['', created]).toContain(stderr);
  expect(stdout, 'one line').toMatch(/^[^\n]*\n$/);
  return JSON.parse(stdout);
}

async function listed(dataDir: string): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await hostsOf(dataDir)('list', '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('hosts add', () => {
  test('takes 1 to 255 characters of any script, prints the host once', async () => {
    const dataDir = temporaryDirectory();
    const names = ['a', '-', 'näs „büro“ 東京', '"q" \\ {b}', ' spaces ', '🦀'.repeat(255)];
    const added = await Promise.all(names.map((name) => add(dataDir, name)));
    expect(added).toEqual(
      names.map((host) => ({
        host_id: expect.stringMatching(ULID),
        host,
        token: expect.stringMatching(/^[\x21-\x7e]{20,}$/),
      })),
    );
    const shown = new Map((await listed(dataDir)).map(({ host_id, host }) => [host_id, host]));
    expect(shown).toEqual(new Map(added.map(({ host_id, host }) => [host_id, host])));
  });

  test('refuses other names and says why', async () => {
    const dataDir = temporaryDirectory();
    const length = (count: number) =>
      `restic-manager: host name: must have 1 to 255 characters, not ${count}\n`;
    const control = 'restic-manager: host name: must not contain control characters\n';
    const refusals: [name: string, stderr: string][] = [
      ['', length(0)],
      ['a'.repeat(256), length(256)],
      ['🦀'.repeat(256), length(256)],
      ['a\nb', control],
      ['tab\t', control],
      ['\u007f', control],
      ['\u0085', control],
      ['\u001b[31m', control],
    ];
    const results = refusals.map(async ([name]) => {
      const { code, stdout, stderr } = await hostsOf(dataDir)('add', name);
      return [name, code, stdout, stderr];
    });
    expect(await Promise.all(results)).toEqual(
      refusals.map(([name, stderr]) => [name, 1, '', stderr]),
    );
    expect(readdirSync(dataDir), 'a database').toEqual([]);
  });

  test.each(['-web', '--help', '--version'])('a name like %s comes after --', async (name) => {
    const dataDir = temporaryDirectory();
    const { code, stdout } = await hostsOf(dataDir)('add', '--', name);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ host: name });
  });

  test('makes the data directory with those above it, or says why not', async () => {
    await add(join(temporaryDirectory(), 'a', 'b'), 'web');
    // Linux lets nobody make anything in there.
    const { code, stdout, stderr } = await hostsOf('/proc/none/to/be/made')('add', 'web');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('/proc/none');
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    expect((await hostsOf(file)('add', 'web')).stderr).toContain(`EEXIST: file already exists`);
  });

  test('makes one data directory, however many begin at once', async () => {
    const dataDir = join(temporaryDirectory(), 'a', 'b', 'c');
    await Promise.all(['1', '2', '3', '4'].map((name) => add(dataDir, name)));
    expect(await listed(dataDir)).toHaveLength(4);
  });

  test('two hosts may have one name: their ids differ, and so do their tokens', async () => {
    const dataDir = temporaryDirectory();
    const twins = await Promise.all([add(dataDir, 'twin'), add(dataDir, 'twin')]);
    expect(new Set(twins.map(({ host_id }) => host_id)).size).toBe(2);
    expect(new Set(twins.map(({ token }) => token)).size).toBe(2);
    expect(await listed(dataDir)).toHaveLength(2);
  });

  test('waits for somebody else who is making the database', async () => {
    const dataDir = temporaryDirectory();
    const other = new DatabaseSync(join(dataDir, 'fleet.db'));
    other.exec('CREATE TABLE half (made); BEGIN IMMEDIATE; INSERT INTO half VALUES (1)');
    const added = add(dataDir, 'patient');
    await setTimeout(1_500);
    other.exec('ROLLBACK');
    other.close();
    expect((await added).host).toBe('patient');
  });

  test('keeps nothing of the token but its SHA-256', async () => {
    const served = await Served.start({ RM_LOG_LEVEL: 'trace' });
    const { token, host_id: id } = await add(served.dataDir, 'secretive');
    const replaced = await TestAgent.online(served.agentUrl, token);
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
    // Something about the host is in the log, and so is somebody whose token is almost the same.
    await replaced.closed;
    await expect(TestAgent.connect(served.agentUrl, `${token}x`)).rejects.toThrow('401');
    await eventually(() => expect(served.log).toContain('agent_unauthorized'));
    expect(served.log).toContain(id);
    const bytes = Buffer.concat(
      ['fleet.db', 'fleet.db-wal', 'fleet.db-shm']
        .map((file) => join(served.dataDir, file))
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file)),
    );
    expect(bytes.includes(id), 'the search finds what is there').toBe(true);
    expect(bytes.includes(createHash('sha256').update(token).digest())).toBe(true);
    const secret = token.replace(/^rmh_/, '');
    for (const shape of [token, secret, Buffer.from(secret, 'base64url')]) {
      expect(bytes.includes(shape)).toBe(false);
    }
    const said = [
      await hostsOf(served.dataDir)('list'),
      await hostsOf(served.dataDir)('list', '--json'),
    ];
    for (const { stdout } of said) expect(stdout).not.toContain(secret);
    expect(served.log).not.toContain(secret);
    expect(await served.scrape()).not.toContain(secret);
  });
});

describe('without a database', () => {
  test.each([
    ['list'],
    ['list', '--json'],
    ['show', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
    ['token', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
    ['rename', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'web'],
    ['remove', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
  ])('hosts %s creates none and says where it looked', async (...args) => {
    const parent = temporaryDirectory();
    for (const dataDir of [parent, join(parent, 'data')]) {
      const { code, stdout, stderr } = await hostsOf(dataDir)(...args);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^restic-manager: [^\n]*\n$/);
      expect(stderr).toContain(`no database in ${dataDir}; give --config or RM_DATA_DIR`);
    }
    expect(readdirSync(parent)).toEqual([]);
  });

  test('a default directory that this user cannot use is a hint at the settings', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'data'), 'a file');
    const { code, stderr } = await new Promise<{ code: number | null; stderr: string }>(
      (resolve) => {
        const env = { ...process.env, RM_DATA_DIR: '' };
        execFile(
          process.execPath,
          [CLI, 'hosts', 'add', 'web'],
          { cwd: directory, env },
          (error, _, stderr) => resolve({ code: Number(error?.code ?? 0), stderr }),
        );
      },
    );
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /^restic-manager: data\/fleet\.db: .*; give --config or RM_DATA_DIR\n$/,
      ),
    ]);
  });

  test('hosts add creates one, and says which', async () => {
    const dataDir = join(temporaryDirectory(), 'data');
    const first = await hostsOf(dataDir)('add', 'web');
    expect(first.stderr).toBe(
      `restic-manager: created a new database: ${join(dataDir, 'fleet.db')}\n`,
    );
    expect((await hostsOf(dataDir)('add', 'db')).stderr).toBe('');
  });
});

describe('output that cannot be written', () => {
  const full = (dataDir: string, args: string) =>
    spawnSync('sh', ['-c', `exec ${process.execPath} ${CLI} hosts ${args} > /dev/full`], {
      env: { ...process.env, RM_DATA_DIR: dataDir },
      encoding: 'utf8',
    });

  test('of hosts add adds no host, because its token would be lost', async () => {
    const dataDir = temporaryDirectory();
    await add(dataDir, 'before');
    const { status, stderr } = full(dataDir, 'add web db');
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^restic-manager: [^\n]*no host was added[^\n]*\n$/),
    ]);
    expect(await listed(dataDir)).toMatchObject([{ host: 'before' }]);
  });

  test('of hosts token is an error that says to run it again, because the old token is dead', async () => {
    const dataDir = temporaryDirectory();
    const { host_id: id } = await add(dataDir, 'web');
    const { status, stderr } = full(dataDir, `token ${id}`);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(
        /^restic-manager: [^\n]*the old one no longer works; run this command again/,
      ),
    ]);
  });

  test('because its reader is gone, as with head, is no error', async () => {
    const dataDir = temporaryDirectory();
    await add(dataDir, 'web');
    const list = `{ ${process.execPath} ${CLI} hosts list; echo "exit code $?" >&2; } | true`;
    const env = { ...process.env, RM_DATA_DIR: dataDir };
    expect(spawnSync('sh', ['-c', list], { env, encoding: 'utf8' }).stderr).toBe('exit code 0\n');
  });

  test('of hosts list is an error of one line', async () => {
    const dataDir = temporaryDirectory();
    await add(dataDir, 'web');
    const { status, stderr } = full(dataDir, 'list');
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^restic-manager: cannot write to standard output: [^\n]*\n$/),
    ]);
  });
});

describe('hosts list and remove', () => {
  test('print nothing of a name that a terminal would execute, from a database of an old version', async () => {
    const dataDir = temporaryDirectory();
    const hosts = hostsOf(dataDir);
    const { host_id } = await add(dataDir, 'web');
    const db = new DatabaseSync(join(dataDir, 'fleet.db'));
    db.prepare('UPDATE hosts SET host = ?').run('\u001b[2Jweb\u009b\u202eb');
    db.close();
    const escapes = '\\u001b[2Jweb\\u009b\\u202eb';
    const { stdout } = await hosts('list');
    expect(stdout.split('\n')[1]).toBe(`${host_id}  pending  never        -            ${escapes}`);
    const json = await hosts('list', '--json');
    expect(json.stdout).toContain(`"host": "${escapes}"`);
    expect(await listed(dataDir)).toMatchObject([{ host: '\u001b[2Jweb\u009b\u202eb' }]);
  });

  test('follow a host through its life, with serve running and without', async () => {
    const dataDir = temporaryDirectory();
    const hosts = hostsOf(dataDir);
    const early = await add(dataDir, 'early');
    const served = await Served.start({}, dataDir);
    const late = await add(dataDir, 'late');
    const pending = { status: 'pending', last_backup_at: null, last_backup_success: null };
    expect(await listed(dataDir), 'by id, which is by age').toEqual([
      { ...pending, host_id: early.host_id, host: 'early', open_alerts: 0, alerts: [] },
      { ...pending, host_id: late.host_id, host: 'late', open_alerts: 0, alerts: [] },
    ]);

    // Both are let in, though one of them was enrolled by another process a moment ago.
    const agents = [
      await TestAgent.online(served.agentUrl, early.token),
      await TestAgent.online(served.agentUrl, late.token),
    ];
    const job = { kind: 'backup', finishedAt: '2026-01-02T03:04:05.678Z' };
    await agents[0]?.job({ ...job, id: '1', status: 'succeeded' });
    await agents[1]?.job({ ...job, id: '1', status: 'failed' });
    await agents[1]?.job({ ...job, id: '2', kind: 'prune', status: 'failed' });
    const backup = { last_backup_at: '2026-01-02T03:04:05.678Z' };
    expect(await listed(dataDir)).toMatchObject([
      { ...backup, status: 'online', last_backup_success: true, open_alerts: 0, alerts: [] },
      {
        ...backup,
        status: 'online',
        last_backup_success: false,
        open_alerts: 2,
        alerts: ['backup_failed', 'prune_failed'],
      },
    ]);
    const table = (await hosts('list')).stdout.split('\n');
    const row = (id: string) => table.find((line) => line.includes(id)) ?? '';
    const words = (id: string) => row(id).split(/ {2,}/).sort();
    expect(table).toHaveLength(4);
    expect(words(early.host_id)).toEqual(
      [early.host_id, 'early', 'online', '2026-01-02T03:04:05.678Z ok', '-'].sort(),
    );
    expect(words(late.host_id)).toEqual(
      [
        late.host_id,
        'late',
        'online',
        '2026-01-02T03:04:05.678Z FAILED',
        'backup_failed, prune_failed',
      ].sort(),
    );

    agents[0]?.close();
    await eventually(async () => {
      expect(await listed(dataDir)).toMatchObject([{ status: 'offline' }, { status: 'online' }]);
    });
    await TestAgent.online(served.agentUrl, early.token);
    expect(await served.stop('SIGKILL')).toBe('SIGKILL');
    expect(await listed(dataDir), 'nobody serves them').toMatchObject([
      { status: 'offline', last_backup_success: true },
      { status: 'offline', open_alerts: 2 },
    ]);

    expect(await hosts('remove', late.host_id)).toMatchObject({ code: 0, stderr: '' });
    expect(await listed(dataDir)).toMatchObject([{ host_id: early.host_id }]);
    expect(await hosts('remove', late.host_id), 'once is enough').toMatchObject({ code: 1 });
    const again = await Served.start({}, dataDir);
    expect(await again.scrape()).not.toContain(late.host_id);
    await expect(TestAgent.connect(again.agentUrl, late.token)).rejects.toThrow('HTTP 401');
    expect(await again.stop()).toBe(0);
    expect(await listed(dataDir)).toMatchObject([{ status: 'offline' }]);
  });

  test('take effect in every loop of a running server', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: '2' });
    const { token, host_id: id } = await add(served.dataDir, 'short-lived');
    for (let loop = 0; loop < 2; loop++) await TestAgent.online(served.agentUrl, token);
    const last = await TestAgent.online(served.agentUrl, token);
    await last.job({ id: '1', kind: 'check', status: 'failed' });
    expect(await served.scrape()).toContain(id);
    await hostsOf(served.dataDir)('remove', id);
    expect((await last.closed).code).toBe(4002);
    await eventually(async () => expect(await served.scrape()).not.toContain(id));
    for (let loop = 0; loop < 2; loop++) {
      await expect(TestAgent.connect(served.agentUrl, token)).rejects.toThrow('HTTP 401');
    }
  });

  test('remove knows no host by another id', async () => {
    const dataDir = temporaryDirectory();
    await add(dataDir, 'web');
    const ids = ['01J00000000000000000000000', 'nonsense', ''];
    const results = await Promise.all(ids.map((id) => hostsOf(dataDir)('remove', id)));
    expect(results).toEqual(
      ids.map((id) => ({
        code: 1,
        stdout: '',
        stderr: `restic-manager: no host has the id ${JSON.stringify(id)}; hosts list shows all ids\n`,
      })),
    );
  });

  test('settings count: data_dir from the file, errors in it', async () => {
    const dataDir = temporaryDirectory();
    const config = join(temporaryDirectory(), 'rm.yaml');
    writeFileSync(config, `data_dir: ${dataDir}\n`);
    const { host_id: id } = await add(dataDir, 'by file');
    const { stdout } = await cli(['hosts', 'list', '--json', '--config', config]);
    expect(JSON.parse(stdout)).toMatchObject([{ host_id: id }]);
    writeFileSync(config, 'data_dirr: x\n');
    const { code, stderr } = await cli(['hosts', 'list', '--config', config]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${config}: data_dirr: unknown key`);
  });
});

function addFromStdin(dataDir: string, input: string) {
  return cli(['hosts', 'add', '--stdin'], { RM_DATA_DIR: dataDir }, input);
}

describe('a large fleet', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `host-${index} ✓`);

  test('is enrolled from standard input, beside a server that then knows all of it', async () => {
    const served = await Served.start();
    const startedAt = performance.now();
    const added = await addFromStdin(served.dataDir, `${names.join('\n')}\n`);
    expect(performance.now() - startedAt, 'on a busy machine, too').toBeLessThan(15_000);
    expect(added.code).toBe(0);
    const hosts = added.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(hosts.map(({ host }) => host)).toEqual(names);
    expect(new Set(hosts.map(({ token }) => token)).size).toBe(names.length);
    // Right after the command has ended.
    await TestAgent.online(served.agentUrl, hosts[9_999].token);
  });

  test('is enrolled whole or not at all', async () => {
    const dataDir = temporaryDirectory();
    const { code, stdout, stderr } = await addFromStdin(dataDir, 'one\r\n\ntwo\nthr\u0007ee\n');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      'restic-manager: host name 3 ("thr\\u0007ee"): must not contain control characters\n',
    );
    const many = await hostsOf(dataDir)('add', 'one', 'a'.repeat(256));
    expect(many.code).toBe(1);
    expect(many.stderr).toContain('host name 2 ("aaaaa');
    expect(readdirSync(dataDir), 'a database').toEqual([]);
    const lines = await addFromStdin(dataDir, 'one\r\n\ntwo');
    expect(lines.code).toBe(0);
    expect((await listed(dataDir)).map(({ host }) => host).sort()).toEqual(['one', 'two']);
  });

  test('is not enrolled from standard input while the command line has names, too', async () => {
    const dataDir = temporaryDirectory();
    const args = ['hosts', 'add', '--stdin', 'one'];
    const { code, stdout, stderr } = await cli(args, { RM_DATA_DIR: dataDir }, 'two\n');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('"one"');
    expect(readdirSync(dataDir), 'a database').toEqual([]);
  });

  test('needs at least one name', async () => {
    const { code, stderr } = await addFromStdin(temporaryDirectory(), '\n');
    expect(code).toBe(2);
    expect(stderr).toContain('NAME is missing');
  });
});

describe('hosts token', () => {
  test.each(['1', '3'])(
    'gives a new token, and the old one stops working (agent_threads=%s)',
    async (threads) => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      const { host_id: id, token } = await served.addHost('web');
      const agent = await TestAgent.online(served.agentUrl, token);
      await agent.job({ id: 'before', kind: 'backup', status: 'succeeded' });
      const { code, stdout } = await hostsOf(served.dataDir)('token', id);
      expect(code).toBe(0);
      const replaced = JSON.parse(stdout);
      expect(replaced).toEqual({ host_id: id, host: 'web', token: expect.stringMatching(/^rmh_/) });
      expect(replaced.token).not.toBe(token);
      expect(await agent.closed).toEqual({ code: 4002, reason: 'token replaced' });
      for (let n = 0; n < 4; n++) {
        await expect(TestAgent.connect(served.agentUrl, token)).rejects.toThrow('HTTP 401');
      }
      const again = await TestAgent.online(served.agentUrl, replaced.token);
      await again.job({ id: 'before', kind: 'backup', status: 'succeeded' });
      const count = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';
      expect(sample(await served.scrape(), count), 'it is the same host').toBe(1);
    },
  );

  test('without a server, and of a host that there is not', async () => {
    const dataDir = temporaryDirectory();
    const { host_id: id, token } = await add(dataDir, 'web');
    const replaced = JSON.parse((await hostsOf(dataDir)('token', id)).stdout);
    const served = await Served.start({}, dataDir);
    await expect(TestAgent.connect(served.agentUrl, token)).rejects.toThrow('HTTP 401');
    await TestAgent.online(served.agentUrl, replaced.token);
    const none = await hostsOf(dataDir)('token', 'nope');
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toContain('no host has the id "nope"');
  });
});

describe('hosts rename', () => {
  test('shows the name from the next scrape on, and keeps the agent', async () => {
    const served = await Served.start();
    const { host_id: id, token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    const { code } = await hostsOf(served.dataDir)('rename', id, 'büro "1"');
    expect(code).toBe(0);
    const body = await served.scrape();
    expect(sample(body, `rm_host_agent_online{host_id="${id}",host="büro \\"1\\""}`)).toBe(1);
    expect(body).not.toContain('host="web"');
    await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
  });

  test('refuses a name that cannot be, and a host that there is not', async () => {
    const dataDir = temporaryDirectory();
    const { host_id: id } = await add(dataDir, 'web');
    const empty = await hostsOf(dataDir)('rename', id, '');
    expect(empty.code).toBe(1);
    expect(empty.stderr).toContain('must have 1 to 255 characters');
    const none = await hostsOf(dataDir)('rename', 'nope', 'web');
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('no host has the id "nope"');
    expect(await listed(dataDir)).toMatchObject([{ host: 'web' }]);
  });
});

test('a list of 130,000 hosts is shown', async () => {
  const dataDir = temporaryDirectory();
  await addHosts(dataDir, 130_000);
  const { code, stdout, stderr } = await hostsOf(dataDir)('list');
  expect([code, stderr, stdout.trimEnd().split('\n').length]).toEqual([0, '', 130_001]);
}, 120_000);

describe('the command line', () => {
  const run = (line: string) =>
    cli(line === '' ? [] : line.split(' '), { RM_DATA_DIR: '/nowhere/to/be/made' });

  test('exits 2 with a hint at what it does not know', async () => {
    const lines = [
      ['serve --nope', 'serve'],
      ['serve extra', 'serve'],
      ['serve --config', 'serve'],
      ['hosts', 'hosts'],
      ['hosts rename', 'hosts'],
      ['hosts list --nope', 'hosts'],
      ['hosts list extra', 'hosts'],
      ['hosts add', 'hosts'],
      ['hosts add one --stdin', 'hosts'],
      ['hosts list --stdin', 'hosts'],
      ['hosts token', 'hosts'],
      ['hosts token one two', 'hosts'],
      ['hosts nope', 'hosts'],
      ['hosts show', 'hosts'],
      ['hosts show one two', 'hosts'],
      ['hosts show one --stdin', 'hosts'],
      ['hosts rename one', 'hosts'],
      ['hosts rename one two three', 'hosts'],
      ['hosts add one --json', 'hosts'],
      ['hosts remove', 'hosts'],
      ['hosts remove one two', 'hosts'],
      ['import --nope', 'import'],
      ['demo --nope', 'demo'],
      ['nope', undefined],
      ['--nope', undefined],
    ] as const;
    await Promise.all(
      lines.map(async ([line, command]) => {
        const { code, stdout, stderr } = await run(line);
        expect([code, stdout], line).toEqual([2, '']);
        const hint = `Try restic-manager ${command === undefined ? '' : `${command} `}--help`;
        expect(stderr.split('\n'), line).toEqual([
          expect.stringMatching(/^restic-manager: ./),
          hint,
          '',
        ]);
      }),
    );
  });

  test('import takes one directory', async () => {
    const { code, stderr } = await run('import --from here there');
    expect([code, stderr]).toEqual([2, expect.stringContaining('unexpected argument "there"')]);
  });

  test('all faults of the settings are told, each in a line, and the exit code is 2', async () => {
    const { code, stdout, stderr } = await cli(['serve'], {
      RM_LISTEN: 'nowhere',
      RM_METRICS_SHARD: 'x',
    });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.split('\n').sort()).toEqual([
      '',
      expect.stringMatching(/^restic-manager: .*RM_LISTEN/),
      expect.stringMatching(/^restic-manager: .*RM_METRICS_SHARD/),
    ]);
  });

  test('--help everywhere, and it touches nothing', async () => {
    const overview = await run('--help');
    expect(overview).toMatchObject({ code: 0, stderr: '' });
    for (const name of ['serve', 'hosts', 'import', 'demo']) {
      expect(overview.stdout).toMatch(new RegExp(`^ +${name} `, 'm'));
    }
    const help = (await run('help hosts')).stdout;
    for (const flag of ['add --stdin', 'list [--json]', 'show HOST_ID [--json]', '--config FILE'])
      expect(help).toContain(flag);
    for (const line of ['', 'help', '-h']) expect(await run(line), line).toEqual(overview);
    await Promise.all(
      ['serve', 'hosts', 'hosts add', 'hosts list', 'hosts remove', 'import', 'demo'].map(
        async (line) => {
          const { code, stdout, stderr } = await run(`${line} --help`);
          expect([code, stderr], line).toEqual([0, '']);
          expect(stdout).toContain(`restic-manager ${line}`);
          expect(stdout).toMatch(/^Usage: restic-manager /);
          expect(await run(`help ${line}`), line).toMatchObject({ code: 0, stdout });
        },
      ),
    );
  });

  needs('bash').test('who reads the output may leave', async () => {
    const dataDir = temporaryDirectory();
    await add(dataDir, 'web');
    const ended = await new Promise((resolve) => {
      const line = 'set -o pipefail; "$0" src/cli.ts hosts list | true; echo $?';
      const env = { ...process.env, RM_DATA_DIR: dataDir };
      execFile('bash', ['-c', line, process.execPath], { env }, (_, stdout, stderr) =>
        resolve({ stdout, stderr }),
      );
    });
    expect(ended).toEqual({ stdout: '0\n', stderr: '' });
  });

  test('--version everywhere', async () => {
    const lines = ['--version', '-V', 'serve --version', 'hosts list --version', 'demo --version'];
    const expected = { code: 0, stdout: `${packageJson.version}\n`, stderr: '' };
    expect(await Promise.all(lines.map(run))).toEqual(lines.map(() => expected));
  });
});
