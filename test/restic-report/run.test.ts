import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { needs, pathOf } from '../support/programs.ts';
import {
  type AddedHost,
  addHosts,
  eventually,
  type Served,
  sample,
  servedForAll,
} from '../support/serve.ts';
import { ended, PROGRAMS, RESTIC_018, ReportingHost, SCRIPT, SHELLS } from './rig.ts';

/** The jobs of a host in the database, as `kind status exit_code`. */
function jobsOf(served: Served, id: string) {
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
  const sql = `SELECT kind || ' ' || status || ' ' || coalesce(exit_code, '-') AS row, coalesce(error, '') AS error,
    coalesce(bytes_added, '-') || ' ' || coalesce(snapshot_id, '-') AS summary FROM jobs WHERE host_id = ? ORDER BY seq`;
  const rows = db.prepare(sql).all(id);
  db.close();
  return rows.map(({ row, error, summary }) => ({
    row: String(row),
    error: String(error),
    summary: String(summary),
  }));
}

/** Shorter, where only the report of the run itself matters. */
const ASKS_NOTHING = { RESTIC_REPORT_SKIP: 'summary,stats' };

/** Runs until a signal comes. In Node, because a shell that starts another process may miss a signal. */
const ENDS_BY_SIGNAL = `
[ "$1" = backup ] || exit 1
exec ${process.execPath} -e "
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => { console.error('cleaning up'); process.exit(130); });
  console.log('up');
  setTimeout(() => {}, 20_000);"
`;

const rowsOf = (served: Served, id: string) => jobsOf(served, id).map(({ row }) => row);

for (const { program, command } of SHELLS) {
  needs(program, ...PROGRAMS).describe(`under ${command.join(' ')}`, () => runsUnder(command));
}

function runsUnder(shell: readonly string[]): void {
  const served = servedForAll();
  let enrolled: AddedHost[] = [];

  beforeAll(async () => {
    enrolled = await addHosts(served().dataDir, 60);
  });

  function newHost(): { host: ReportingHost; id: string } {
    const added = enrolled.pop();
    if (added === undefined) throw new Error('too few hosts were enrolled');
    return { host: new ReportingHost(served().url, added.token, shell), id: added.host_id };
  }

  test('the output, the input and the exit code are those of restic', async () => {
    const { host, id } = newHost();
    const restic = host.program('cat; echo "args: $*"; printf "no newline" >&2; exit 7');
    const args = ['backup', "it's", '', 'two  spaces', '*', '--tag=a b', '-v'];
    const result = await host.run(['--', restic, ...args], {}, 'the input\n');
    expect(result).toEqual({
      code: 7,
      signal: null,
      stdout: "the input\nargs: backup it's  two  spaces * --tag=a b -v\n",
      stderr: 'no newline',
    });
    expect(rowsOf(served(), id)).toEqual(['backup failed 7']);
    expect(host.left).toEqual([]);
  });

  test.each([
    ['SIGINT', 130, null, 'cancelled'],
    ['SIGTERM', 130, null, 'cancelled'],
  ] as const)(
    '%s is passed on, and restic 0.18 exits with %i',
    async (signal, code, by, status) => {
      const { host, id } = newHost();
      const child = host.start(['--', host.program(ENDS_BY_SIGNAL), 'backup', '/x']);
      const end = ended(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      child.kill(signal);
      const result = await end;
      expect([result.code, result.signal]).toEqual([code, by]);
      expect(result.stderr).toContain('cleaning up');
      expect(rowsOf(served(), id)).toEqual([`backup ${status} 130`]);
    },
  );

  test('other signals are passed on, too, and do not end the script', async () => {
    const { host, id } = newHost();
    const signals = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
    // restic shows its progress at SIGUSR1.
    const restic = host.program(`
      [ "$1" = check ] || exit 1
      exec ${process.execPath} -e "
        for (const signal of ['${signals.join("','")}']) process.on(signal, () => console.log(signal));
        process.stdin.on('end', () => process.exit(4)).resume();
        console.log('up');"`);
    const child = host.start(['--', restic, 'check']);
    const end = ended(child);
    let shown = '';
    child.stdout?.on('data', (chunk) => {
      shown += chunk;
    });
    await eventually(() => expect(shown).toBe('up\n'));
    for (const signal of signals) {
      child.kill(signal);
      await eventually(() => expect(shown).toContain(`${signal}\n`));
    }
    child.stdin?.end();
    expect(await end).toMatchObject({ code: 4, signal: null });
    expect(rowsOf(served(), id)).toEqual(['check failed 4']);
  });

  test('a signal that goes to the whole group of processes leaves the end of the output readable', async () => {
    const { host, id } = newHost();
    // Its group of processes is its own, as under systemd and in a terminal.
    const child = host.start(
      ['--', host.program(ENDS_BY_SIGNAL), 'backup'],
      {},
      { detached: true },
    );
    const end = ended(child);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    process.kill(-Number(child.pid), 'SIGTERM');
    expect(await end).toMatchObject({ code: 130, stderr: 'cleaning up\n' });
    expect(jobsOf(served(), id)).toMatchObject([
      { row: 'backup cancelled 130', error: 'cleaning up' },
    ]);
  });

  test('a signal that was ignored before is ignored by restic, too', async () => {
    const { host } = newHost();
    const restic = host.program('grep SigIgn /proc/self/status');
    const command = `trap '' INT; exec ${shell.join(' ')} ${SCRIPT} -- ${restic} backup`;
    const env = { ...host.env, ...ASKS_NOTHING } as NodeJS.ProcessEnv;
    const { stdout } = spawnSync('sh', ['-c', command], { env, encoding: 'utf8' });
    // The bit 2 of the last digit stands for SIGINT.
    expect(stdout).toMatch(/^SigIgn:\s+[0-9a-f]*[2367abef]\n$/);
  });

  test('what a successful restic writes to standard error is not reported', async () => {
    const { host, id } = newHost();
    const restic = host.program('echo warning >&2; exit 0');
    expect((await host.run(['--', restic, 'check'])).stderr).toBe('warning\n');
    expect(jobsOf(served(), id)).toMatchObject([{ row: 'check succeeded 0', error: '' }]);
  });

  test('restic starts with no signal ignored, although a shell ignores SIGINT for what it starts', async () => {
    const { host } = newHost();
    const { stdout } = await host.run([
      '--',
      host.program('grep SigIgn /proc/self/status'),
      'backup',
    ]);
    // The bits 2 and 4 of the last digit stand for SIGINT and SIGQUIT.
    expect(stdout).toMatch(/^SigIgn:\s+[0-9a-f]*[0189]\n$/);
  });

  test.each(['SIGTERM', 'SIGHUP', 'SIGKILL'] as const)(
    'when restic dies of %s, so does the script',
    async (signal) => {
      const { host, id } = newHost();
      const restic = host.program(`echo up; kill -${signal.slice(3)} $$; sleep 9`);
      const result = await host.run(['--', restic, 'backup', '/x']);
      expect([result.code, result.signal]).toEqual([null, signal]);
      const status = signal === 'SIGTERM' ? 'cancelled' : 'failed';
      const code = { SIGTERM: 143, SIGHUP: 129, SIGKILL: 137 }[signal];
      expect(rowsOf(served(), id)).toEqual([`backup ${status} ${code}`]);
    },
  );

  test.each([
    [['backup', '/x'], 'backup'],
    [['-r', 'backup', 'check'], 'check'],
    [['--password-file', 'F', '-o', 'a=b', 'backup', '/x'], 'backup'],
    [['--repo=/r', '-q', '-vv', '-pF', 'prune'], 'prune'],
    [['-qr', '/r', 'forget', '--keep-last', '3', '--prune'], 'forget'],
    [['--limit-upload', '100', '--json', 'restore', 'latest', '-t', '-n'], 'restore'],
    [['backup', '--exclude', '--dry-run', '/x'], 'backup'],
    [['backup', '--', '-n'], 'backup'],
    [['backup', '--dry-run=false', '/x'], 'backup'],
    [['init'], 'init'],
    [['unlock'], 'unlock'],
    [['diff', 'a', 'b'], 'diff'],
    [['self-update'], 'update'],
  ])('%j is reported as %s', async (args, kind) => {
    const { host, id } = newHost();
    const { stderr } = await host.run(['--', host.program('exit 0'), ...args], ASKS_NOTHING);
    expect(stderr).toBe('');
    expect(rowsOf(served(), id)).toEqual([`${kind} succeeded 0`]);
  });

  test.each([
    [['backup', '-n', '/x']],
    [['backup', '-vn', '/x']],
    [['forget', '--dry-run']],
    [['backup', '--help']],
    [['-h']],
    [['snapshots']],
    [['cat', 'config']],
    [['help', 'backup']],
    [[]],
  ])('%j is run and not reported', async (args) => {
    const { host, id } = newHost();
    const { code, stdout, stderr } = await host.run(['--', host.program('echo "$*"'), ...args]);
    expect([code, stdout, stderr]).toEqual([0, `${args.join(' ')}\n`, '']);
    expect(rowsOf(served(), id)).toEqual([]);
  });

  test('an unknown flag in front of the command is run, said, and not reported', async () => {
    const { host, id } = newHost();
    const args = ['--', host.program('exit 4'), '--future', 'backup', '/x'];
    const { code, stderr } = await host.run(args);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^restic-report: .*--future.* not reported\n$/);
    expect(rowsOf(served(), id)).toEqual([]);
  });

  test('a summary of restic 0.17 and later is reported, of the snapshot of this run', async () => {
    const { host, id } = newHost();
    const result = await host.run(['--', host.program(RESTIC_018), 'backup', '/x']);
    expect(result).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    expect(jobsOf(served(), id)).toMatchObject([{ summary: '1234 abcdef0123' }]);
    const body = await served().scrape();
    expect(body).toMatch(new RegExp(`rm_host_last_backup_added_bytes{host_id="${id}".*} 1234\n`));
    expect(body).toMatch(new RegExp(`rm_host_snapshot_count{host_id="${id}".*} 3\n`));
    expect(body).toMatch(new RegExp(`rm_host_repo_size_bytes{host_id="${id}".*} 987654\n`));
    expect(body).toMatch(
      new RegExp(`host_info{host_id="${id}".*restic_version="0.18.0",os="linux",arch="arm64"`),
    );
  });

  test('the end of a long error is reported, with every character that JSON must escape', async () => {
    const { host, id } = newHost();
    const restic = host.program(`
      for n in $(seq 1 20000); do echo "line $n" >&2; done
      printf 'a "quote" \\\\back\\tslash \\033[31mred caf\\351 https://user:hidden@host/ Ende: ü\\n' >&2
      exit 1`);
    const { stderr } = await host.run(['--', restic, 'backup', '/x']);
    expect(stderr.split('\n')).toHaveLength(20_002);
    const [job] = jobsOf(served(), id);
    expect(job?.error).toContain(
      'a "quote" \\back\tslash [31mred caf\ufffd https://user:***@host/ Ende: ü',
    );
    expect(job?.error).toContain('\nline 20000\n');
    expect([...(job?.error ?? '')].length).toBe(4_096);
  });

  test('exit code 3 of a backup is a success with unreadable files; of a check a failure', async () => {
    const { host, id } = newHost();
    for (const command of ['backup', 'check']) {
      await host.run(['--', host.program('exit 3'), command, '/x']);
    }
    expect(rowsOf(served(), id)).toEqual(['backup succeeded 3', 'check failed 3']);
    expect(sample(await served().scrape(), 'rm_active_alerts{severity="info"}')).toBeGreaterThan(0);
  });

  test.each([1, 10, 11, 12, 127, 255])('exit code %i is a failure', async (code) => {
    const { host, id } = newHost();
    const { code: exit } = await host.run(
      ['--', host.program(`exit ${code}`), 'backup'],
      ASKS_NOTHING,
    );
    expect(exit).toBe(code);
    expect(rowsOf(served(), id)).toEqual([`backup failed ${code}`]);
  });

  test('a process that restic leaves behind does not hold the script', async () => {
    const { host, id } = newHost();
    const startedAt = Date.now();
    const child = host.start([
      '--',
      host.program('[ "$1" != backup ] || sleep 30 & exit 0'),
      'backup',
      '/x',
    ]);
    const [code] = await new Promise<[number | null]>((resolve) =>
      child.on('exit', (exit) => resolve([exit])),
    );
    expect([code, Date.now() - startedAt < 25_000]).toEqual([0, true]);
    expect(rowsOf(served(), id)).toEqual(['backup succeeded 0']);
  });

  test('linked as restic it wraps every call of the real one behind it on the PATH', async () => {
    const { host, id } = newHost();
    const real = host.program('echo "real $*"; exit 0');
    const links = join(host.directory, 'links');
    mkdirSync(links);
    symlinkSync(SCRIPT, join(links, 'restic'));
    const path = { PATH: `${links}:${join(real, '..')}:${process.env.PATH}` };
    const call = (args: string) => {
      const env = { ...host.env, ...path };
      return execFileSync('sh', ['-c', `restic ${args}`], { env, encoding: 'utf8' });
    };
    expect(call('--help')).toBe('real --help\n');
    expect(call('backup /x')).toBe('real backup /x\n');
    await host.run(['--', 'restic', 'check'], path);
    await host.run(['--', join(links, 'restic'), 'prune'], path);
    const rows = ['backup succeeded 0', 'check succeeded 0', 'prune succeeded 0'];
    expect(rowsOf(served(), id), 'each once').toEqual(rows);
  });

  test('restic may have a version in its name, and the repository may be named restic', async () => {
    const { host, id } = newHost();
    const restic = join(host.directory, 'restic_0.18.1_linux_amd64');
    copyFileSync(host.program('exit 0'), restic);
    const args = ['-r', '/srv/restic', 'check', 'restic'];
    expect(await host.run(['--', restic, ...args])).toMatchObject({ code: 0, stderr: '' });
    expect(rowsOf(served(), id)).toEqual(['check succeeded 0']);
  });

  test('a copy that is named restic does not call itself', async () => {
    const { host } = newHost();
    const copies = join(host.directory, 'copies');
    mkdirSync(copies);
    copyFileSync(SCRIPT, join(copies, 'restic'));
    const utilities = '/usr/bin:/bin';
    const result = await host.run(['--', 'restic', 'backup'], {
      PATH: `${copies}:${utilities}`,
      RESTIC_REPORT_RESTIC: '',
    });
    // 1 from restic without a repository, 127 where no restic is installed.
    expect([1, 127]).toContain(result.code);
  });

  test.each(['<&-', '2>&-', '>&-', '<&- >&- 2>&-'])(
    'restic runs with %s, and is reported',
    async (closed) => {
      const { host, id } = newHost();
      const restic = host.program('exit 6');
      const command = `${shell.join(' ')} ${SCRIPT} -- ${restic} backup ${closed}`;
      const { status } = spawnSync('sh', ['-c', command], { env: host.env as NodeJS.ProcessEnv });
      expect(status).toBe(6);
      expect(rowsOf(served(), id)).toEqual(['backup failed 6']);
    },
  );

  test('behind another program restic is run, and it is said that it is not reported', async () => {
    const { host, id } = newHost();
    const { code, stderr } = await host.run([
      '--',
      'nice',
      '-n',
      '5',
      host.program('exit 4'),
      'backup',
    ]);
    expect([code, stderr]).toEqual([
      4,
      expect.stringMatching(/not reported: write restic-report directly in front/),
    ]);
    expect(rowsOf(served(), id)).toEqual([]);
  });

  test('a script that was cut off does nothing', async () => {
    const { host } = newHost();
    const whole = readFileSync(SCRIPT, 'utf8');
    const half = join(host.directory, 'half');
    const end = whole.lastIndexOf('main "$@"');
    writeFileSync(half, whole.slice(0, end));
    const [program = '', ...args] = shell;
    const { stdout, stderr } = spawnSync(program, [...args, half, 'test'], { encoding: 'utf8' });
    expect([stdout, stderr]).toEqual(['', '']);
  });

  test('a missing restic is a failure that is reported', async () => {
    const { host, id } = newHost();
    const { code, stderr } = await host.run(['--', '/nonexistent/restic', 'backup', '/x']);
    expect([code, stderr]).toEqual([127, expect.stringMatching(/not found|No such file/)]);
    expect(rowsOf(served(), id)).toEqual(['backup failed 127']);
  });

  test('the token is in no argument of any process', async () => {
    const { host } = newHost();
    const seen = join(host.directory, 'seen');
    const curl = join(host.directory, 'curl-bin');
    mkdirSync(curl);
    const real = pathOf('curl');
    writeFileSync(
      join(curl, 'curl'),
      `#!/bin/sh\nprintf '%s\\n' "$@" >> ${seen}\nexec ${real} "$@"\n`,
    );
    chmodSync(join(curl, 'curl'), 0o755);
    await host.run(['--', host.program('exit 0'), 'backup'], {
      PATH: `${curl}:${process.env.PATH}`,
    });
    const args = execFileSync('cat', [seen], { encoding: 'utf8' });
    expect(args).toContain('/agent/messages');
    expect(args).not.toContain(String(host.env.RESTIC_REPORT_TOKEN));
  });

  test('killed at any moment it leaves nothing behind for good, and the run is reported once', async () => {
    const { host, id } = newHost();
    const restic = host.program(`${RESTIC_018}`);
    for (let n = 0; n < 5; n++) {
      const child = host.start(['--', restic, 'backup', '/x'], {
        FAKE_SECONDS: '1',
        FAKE_OUT: 'up',
      });
      const end = ended(child);
      await sleep(n * 400);
      child.kill('SIGKILL');
      await end;
    }
    await eventually(async () => {
      await host.run(['flush']);
      expect(host.left.filter((name) => name !== 'stats-at')).toEqual([]);
    });
    const rows = rowsOf(served(), id);
    expect(rows.length).toBeLessThanOrEqual(5);
    expect(rows.length).toBeGreaterThanOrEqual(3);
    expect(existsSync(host.spool)).toBe(true);
  });

  test('killed while its restic runs on, the run is reported only when restic has ended', async () => {
    const { host, id } = newHost();
    const end = join(host.directory, 'end');
    const waits = `for _ in $(seq 600); do [ ! -e ${end} ] || exit 0; sleep 0.05; done`;
    const restic = host.program(`[ "$1" = backup ] || exit 1\n${waits}`);
    const child = host.start(['--', restic, 'backup', '/x']);
    // The first line is about the script, the second about the job, and the third about restic.
    const marker = await eventually(() => {
      const name = host.left.find((name) => name.startsWith('running.')) ?? '';
      expect(readFileSync(join(host.spool, name), 'utf8')).toMatch(/^\d+ .*\nbackup .*\n\d+ .*\n$/);
      return name;
    });
    const exited = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    await host.run(['flush']);
    expect(rowsOf(served(), id)).toEqual([]);
    expect(host.left).toContain(marker);
    writeFileSync(end, '');
    await eventually(async () => {
      await host.run(['flush']);
      expect(rowsOf(served(), id)).toEqual(['backup cancelled -']);
    });
    expect(host.left).not.toContain(marker);
  });
}
