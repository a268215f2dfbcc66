import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { createCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { needs, unless } from '../support/programs.ts';
import { cli, eventually, Served, servedForAll } from '../support/serve.ts';
import { SmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';
import { ended, PROGRAMS, RESTIC_018, ReportingHost, SCRIPT } from './rig.ts';

const { describe, test } = needs(...PROGRAMS);

/** Kinds and statuses of the jobs in the database, in the order of their reports. */
function jobs(served: Served): string[] {
  const db = new DatabaseSync(join(served.dataDir, 'fleet.db'), { readOnly: true });
  const rows = db.prepare("SELECT kind || ' ' || status AS row FROM jobs ORDER BY seq").all();
  db.close();
  return rows.map(({ row }) => String(row));
}

async function setUp(variables = {}): Promise<{ served: Served; host: ReportingHost }> {
  const served = await Served.start(variables);
  const { token } = await served.addHost('cron');
  return { served, host: new ReportingHost(served.url, token) };
}

/** An HTTP server that answers as it is told. */
async function answering(
  answer: (request: number, body: string) => [status: number, text: string] | 'hang up',
): Promise<string> {
  let requests = 0;
  const server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const answered = answer(++requests, body);
      if (answered === 'hang up') request.socket.destroy();
      else response.writeHead(answered[0]).end(answered[1]);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('while the server is down', () => {
  test('a whole night of runs waits in order, and is reported once it is back', async () => {
    const port = await freePort();
    const { served, host } = await setUp({ RM_LISTEN: `127.0.0.1:${port}` });
    await served.stop();
    const restic = host.program(`${RESTIC_018}`);
    const night = ['backup', 'forget', 'prune', 'check', 'backup'];
    for (const [n, command] of night.entries()) {
      const { code, stderr } = await host.run(['--', restic, command], {
        FAKE_CODE: String(n % 2),
      });
      expect(code).toBe(n % 2);
      expect(stderr).toMatch(/^restic-report: cannot connect to .*; the report stays in .*\n/);
    }
    expect(host.waiting.filter((name) => name.endsWith('.job'))).toHaveLength(5);
    expect((await host.run(['flush'])).code).toBe(1);
    const again = await Served.start({ RM_LISTEN: `127.0.0.1:${port}` }, served.dataDir);
    expect(await host.run(['flush'])).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(host.waiting).toEqual([]);
    expect(jobs(again)).toEqual([
      'backup succeeded',
      'forget failed',
      'prune succeeded',
      'check failed',
      'backup succeeded',
    ]);
  });

  test('or gone in the middle of its answer, nothing is lost or counted twice', async () => {
    const { served, host } = await setUp();
    const restic = host.program('exit 0');
    // The first answer is lost on its way.
    const { hostname, port } = new URL(served.url);
    let cut = true;
    const proxy = createServer((request, response) => {
      const upstream = connect(Number(port), hostname);
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const head = `POST ${request.url} HTTP/1.1\r\nHost: x\r\nAuthorization: ${request.headers.authorization}\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
        upstream.write(head + body);
      });
      let answer = '';
      upstream.on('data', (chunk) => {
        answer += chunk;
      });
      upstream.on('close', () => {
        if (cut) request.socket.destroy();
        else response.writeHead(200).end(answer.split('\r\n\r\n').slice(1).join(''));
        cut = false;
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void proxy.close());
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const first = await host.run(['--', restic, 'backup'], { RESTIC_REPORT_URL: url });
    expect(first.stderr).toMatch(/the report stays in/);
    expect(jobs(served)).toEqual(['backup succeeded']);
    await host.run(['--', restic, 'check'], { RESTIC_REPORT_URL: url });
    expect(host.waiting).toEqual([]);
    expect(jobs(served)).toEqual(['backup succeeded', 'check succeeded']);
    expect(await served.scrape()).toContain(
      'rm_job_duration_seconds_count{kind="backup",status="succeeded"} 1\n',
    );
  });

  test('restic waits for it ten seconds at most, and one message says so', async () => {
    const url = await answering(() => [503, 'try again later']);
    const host = new ReportingHost(url, 'rmh_x');
    const startedAt = Date.now();
    const { code, stderr } = await host.run(['--', host.program(RESTIC_018), 'backup']);
    expect(Date.now() - startedAt).toBeLessThan(20_000);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^restic-report: [^\n]*cannot accept reports now \(503\)[^\n]*\n$/);
    expect(host.waiting).toHaveLength(2);
  });
});

describe('an answer', () => {
  test.each([429, 503])('of %i is waited out while there is time', async (status) => {
    const id = /"id":"([0-9a-f]+)"/;
    const url = await answering((n, body) =>
      n === 1 ? [status, ''] : [200, `[{"type":"ack","payload":{"id":"${id.exec(body)?.[1]}"}}]`],
    );
    const host = new ReportingHost(url, 'rmh_x');
    expect(await host.run(['--', host.program('exit 0'), 'check'])).toMatchObject({ stderr: '' });
    expect(host.waiting).toEqual([]);
  });

  test('that does not come is not waited for after a signal, and the report waits', async () => {
    let asked = false;
    const server = createServer(() => {
      asked = true;
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const host = new ReportingHost(`http://127.0.0.1:${port}`, 'rmh_x');
    const log = join(host.directory, 'calls');
    const restic = host.program(`echo "$1" >> ${log}\n${RESTIC_018}`);
    const child = host.start(['--', restic, 'forget'], {}, { detached: true });
    const end = ended(child);
    await eventually(() => expect(asked).toBe(true));
    // A terminal and systemd send a signal to curl, too.
    process.kill(-Number(child.pid), 'SIGTERM');
    expect(await end).toMatchObject({ code: 0, signal: null });
    // Otherwise it would query the size of the repository now.
    expect(readFileSync(log, 'utf8')).toBe('forget\nsnapshots\nversion\n');
    // The lock remains for the next delivery, which finds that its owner is gone.
    expect(host.left.filter((name) => name !== 'lock')).toEqual(host.waiting);
    expect(host.waiting).toHaveLength(1);
  });

  test('does not depend on the settings of curl in the home directory', async () => {
    const { served, host } = await setUp();
    const output = join(host.directory, 'output');
    writeFileSync(join(host.directory, '.curlrc'), `output = "${output}"\nfail\n`);
    const home = { HOME: host.directory, CURL_HOME: undefined };
    for (const env of [home, { ...home, RESTIC_REPORT_SPOOL: '/proc/nowhere', TMPDIR: '/proc' }]) {
      await host.run(['--', host.program('exit 1'), 'check'], env);
    }
    expect((await host.run(['test'], home)).stdout).toContain('  ok    connection: ');
    expect(jobs(served)).toEqual(['check failed', 'check failed']);
    expect(host.waiting).toEqual([]);
    expect(existsSync(output)).toBe(false);
  });

  test('of 503 to flush is said at once, because flush waits for minutes', async () => {
    const id = /"id":"([0-9a-f]+)"/;
    const url = await answering((n, body) =>
      n <= 2 ? [503, ''] : [200, `[{"type":"ack","payload":{"id":"${id.exec(body)?.[1]}"}}]`],
    );
    const host = new ReportingHost(url, 'rmh_x');
    const nowhere = { RESTIC_REPORT_URL: 'http://127.0.0.1:1' };
    await host.run(['--', host.program('exit 0'), 'check'], nowhere);
    expect(host.waiting).not.toEqual([]);
    const { stderr } = await host.run(['flush']);
    expect(stderr).toMatch(
      /^restic-report: the server cannot accept reports now \(503\); trying again for up to \d+ s\n$/,
    );
    expect(host.waiting).toEqual([]);
  });

  test.each([
    ['401', [401, ''], /does not know the token/],
    ['404', [404, ''], /has no \/agent\/messages/],
    ['502 of a proxy', [502, '<html>Bad Gateway</html>'], /the proxy .* cannot reach it/],
    ['301', [301, ''], /redirects/],
    ['500', [500, ''], /HTTP status 500/],
    [
      '200 of something else',
      [200, '<html>Welcome</html>'],
      /does not answer like a restic-manager server/,
    ],
    [
      '200 with other ids',
      [200, '[{"type":"ack","payload":{"id":"77"}}]'],
      /does not answer like a restic-man/,
    ],
  ] as const)('of %s keeps the report, and says what is wrong', async (_, answer, words) => {
    const url = await answering(() => [...answer]);
    const host = new ReportingHost(url, 'rmh_x');
    const { code, stderr } = await host.run(['--', host.program('exit 0'), 'check']);
    expect([code, stderr]).toEqual([0, expect.stringMatching(words)]);
    expect(host.waiting).toHaveLength(1);
  });

  test('that refuses a report drops it, with the words of the server, and keeps the others', async () => {
    const { served, host } = await setUp();
    await host.run(['--', host.program('exit 0'), 'check'], {
      RESTIC_REPORT_URL: 'http://127.0.0.1:1',
    });
    const file = join(host.spool, host.waiting[0] ?? '');
    const wrong = readFileSync(file, 'utf8')
      .replace('"check"', '"copy"')
      .replace(/"id":"./, '"id":"f');
    writeFileSync(join(host.spool, '000000000000.job'), wrong);
    const { code, stderr } = await host.run(['flush']);
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(
        /rejected a report, dropping it: unknown_kind: kind: must be one of [a-z, ]+\n$/,
      ),
    ]);
    expect(jobs(served)).toEqual(['check succeeded']);
    expect(host.waiting).toEqual([]);
  });

  test('that refuses several reports drops them, and says why of each', async () => {
    const url = await answering((_, body) => {
      const ids = [...body.matchAll(/"id":"([0-9a-f]+)"/g)].map(([, id]) => id);
      const errors = ids.map((id, n) => ({
        type: 'error',
        payload: { code: n === 0 ? 'bad_time' : 'job_conflict', message: `not "${n}\\"`, id },
      }));
      return [200, JSON.stringify(errors)];
    });
    const host = new ReportingHost('http://127.0.0.1:1', 'rmh_x');
    for (const command of ['check', 'prune']) {
      await host.run(['--', host.program('exit 1'), command]);
    }
    const { code, stderr } = await host.run(['flush'], { RESTIC_REPORT_URL: url });
    expect([code, host.waiting]).toEqual([0, []]);
    const start = 'restic-report: the server rejected a report, dropping it: ';
    expect(stderr).toBe(`${start}bad_time: not "0\\"\n${start}job_conflict: not "1\\"\n`);
  });

  test('of another server to the check of the settings is a failure', async () => {
    const url = await answering(() => [200, '<html>Welcome</html>']);
    const { code, stdout } = await new ReportingHost(url, 'rmh_x').run(['test']);
    expect(code).toBe(1);
    expect(stdout).toContain(
      `  FAIL  connection: ${url} does not answer like a restic-manager server`,
    );
  });

  test('that refuses a report that is in no spool drops it, too', async () => {
    let requests = 0;
    const refusal = { code: 'bad_time', message: 'finished_at: must be after 2000' };
    const url = await answering((n) => {
      requests = n;
      return [200, JSON.stringify([{ type: 'error', payload: refusal }])];
    });
    const host = new ReportingHost(url, 'rmh_x');
    const nowhere = { RESTIC_REPORT_SPOOL: '/proc/nowhere' };
    const { stderr } = await host.run(['--', host.program('exit 1'), 'check'], nowhere);
    expect(stderr.trim().split('\n').slice(1)).toEqual([
      `restic-report: the server rejected a report, dropping it: bad_time: ${refusal.message}`,
    ]);
    expect(requests).toBe(1);
  });

  test.each([400, 413])(
    'of %i to many reports makes the script send them one by one',
    async (code) => {
      const url = await answering((_, body) => {
        const ids = [...body.matchAll(/"id":"([0-9a-f]+)"/g)].map(([, id]) => id);
        if (ids.length > 1 || body.includes('"prune"')) return [code, 'the body must be better'];
        return [200, `[{"type":"ack","payload":{"id":"${ids[0]}"}}]`];
      });
      const host = new ReportingHost('http://127.0.0.1:1', 'rmh_x');
      for (const command of ['check', 'prune', 'backup']) {
        await host.run(['--', host.program('exit 0'), command], {
          RESTIC_REPORT_SKIP: 'stats,summary',
        });
      }
      const { code: exit, stderr } = await host.run(['flush'], { RESTIC_REPORT_URL: url });
      expect([exit, host.waiting]).toEqual([0, []]);
      expect(stderr).toMatch(/rejected a report permanently, dropping it: the body must be better/);
    },
  );
});

test('a token that was replaced keeps the reports until the new one is configured', async () => {
  const { served, host } = await setUp();
  const listed = await cli(['hosts', 'list', '--json'], { RM_DATA_DIR: served.dataDir });
  const id = /01[0-9A-Z]{24}/.exec(listed.stdout)?.[0] ?? '';
  const { stdout } = await cli(['hosts', 'token', id], { RM_DATA_DIR: served.dataDir });
  const { stderr } = await host.run(['--', host.program('exit 0'), 'backup']);
  expect(stderr).toMatch(/does not know the token: it is wrong, it was replaced/);
  const file = join(host.directory, 'token');
  writeFileSync(file, `${JSON.parse(stdout).token}\n`);
  const fresh = { RESTIC_REPORT_TOKEN: '', RESTIC_REPORT_TOKEN_FILE: file };
  expect((await host.run(['flush'], fresh)).code).toBe(0);
  expect(jobs(served)).toEqual(['backup succeeded']);
});

needs('openssl', ...PROGRAMS).test(
  'a private authority is trusted when its certificate is configured, and explained when not',
  async () => {
    const directory = new ReportingHost('', '').directory;
    const { cert, key } = createCertificate(directory);
    const tls = { RM_TLS_CERT_FILE: cert, RM_TLS_KEY_FILE: key };
    const { served, host } = await setUp(tls);
    const url = served.url.replace('127.0.0.1', 'localhost');
    const env = { RESTIC_REPORT_URL: url };
    const untrusted = await host.run(['--', host.program('exit 0'), 'backup'], env);
    expect(untrusted.stderr).toMatch(/is not trusted: set RESTIC_REPORT_CA_FILE/);
    expect(await host.run(['flush'], { ...env, RESTIC_REPORT_CA_FILE: cert })).toMatchObject({
      code: 0,
    });
    expect(jobs(served)).toEqual(['backup succeeded']);
  },
);

describe('the spool', () => {
  test('that is full drops statistics first, then the oldest job, and says so', async () => {
    const { served, host } = await setUp();
    mkdirSync(host.spool, { recursive: true });
    const started = '2026-01-02T03:04:05Z';
    for (let n = 1; n <= 1_000; n++) {
      const id = n.toString(16).padStart(32, '0');
      const type = n === 500 ? 'stats' : 'job';
      const payload =
        type === 'stats'
          ? '"snapshot_count":1'
          : `"job_id":"${id}","kind":"check","status":"succeeded","started_at":"${started}","finished_at":"${started}"`;
      const name = type === 'stats' ? 'repo.stats' : 'job.finished';
      writeFileSync(
        join(host.spool, `${String(n).padStart(12, '0')}.${type}`),
        `{"id":"${id}","type":"${name}","payload":{${payload}}}\n`,
      );
    }
    const away = { RESTIC_REPORT_URL: 'http://127.0.0.1:1' };
    const first = await host.run(['--', host.program('exit 0'), 'prune'], away);
    expect(first.stderr).toMatch(/is full: its 1 oldest reports were dropped/);
    expect(host.waiting.filter((name) => name.endsWith('.stats'))).toEqual([]);
    await host.run(['--', host.program('exit 0'), 'prune'], away);
    expect(host.waiting[0]).toBe('000000000002.job');
    expect((await host.run(['flush'])).code).toBe(0);
    expect(jobs(served)).toHaveLength(1_000);
    expect(jobs(served).slice(-2)).toEqual(['prune succeeded', 'prune succeeded']);
  });

  test('with a file that a power cut has emptied goes on without it', async () => {
    const { served, host } = await setUp();
    const away = { RESTIC_REPORT_URL: 'http://127.0.0.1:1' };
    await host.run(['--', host.program('exit 0'), 'check'], away);
    writeFileSync(join(host.spool, '000000000000.job'), '');
    const { code, stderr } = await host.run(['flush']);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/000000000000.job is damaged/)]);
    expect(jobs(served)).toEqual(['check succeeded']);
  });

  test('is private', async () => {
    const host = new ReportingHost('http://127.0.0.1:1', 'rmh_x');
    const umask = execFileSync('sh', ['-c', 'umask'], { encoding: 'utf8' });
    const { stdout } = await host.run(['--', host.program('umask; exit 0'), 'check']);
    expect(stdout, 'but restic has the umask of its caller').toBe(umask);
    const mode = (path: string) =>
      execFileSync('stat', ['-c', '%a', path], { encoding: 'utf8' }).trim();
    expect(mode(host.spool)).toBe('700');
    expect(mode(join(host.spool, host.waiting[0] ?? ''))).toBe('600');
  });

  test('of two runs at one time takes the reports of both', async () => {
    const { served, host } = await setUp();
    const restic = host.program('exit 0');
    const kinds = ['backup', 'check', 'prune', 'forget', 'unlock', 'diff'];
    const results = await Promise.all(kinds.map((kind) => host.run(['--', restic, kind])));
    for (const { code } of results) expect(code).toBe(0);
    await host.run(['flush']);
    expect(jobs(served).sort()).toEqual(kinds.map((kind) => `${kind} succeeded`).sort());
    expect(host.left.filter((name) => name !== 'stats-at')).toEqual([]);
  });

  test('that a killed delivery has locked is taken over', async () => {
    const { served, host } = await setUp();
    mkdirSync(host.spool, { recursive: true });
    symlinkSync('999999999:1', join(host.spool, 'lock'));
    await host.run(['--', host.program('exit 0'), 'backup']);
    expect(jobs(served)).toEqual(['backup succeeded']);
    symlinkSync(`${process.pid}:1`, join(host.spool, 'lock'));
    await host.run(['--', host.program('exit 0'), 'check']);
    expect(jobs(served), 'the number of another process').toHaveLength(2);
  });

  unless(whyNoSmallDisk()).describe('on a disk', () => {
    test('that is full does not prevent the report', async () => {
      const disk = new SmallDisk();
      const { served, host } = await setUp();
      disk.fill();
      const env = { RESTIC_REPORT_SPOOL: join(disk.path, 'spool') };
      const result = await host.run(['--', host.program('echo out; exit 1'), 'backup'], env);
      expect([result.code, result.stdout]).toEqual([1, 'out\n']);
      expect(result.stderr).toMatch(/spool .* cannot be written/);
      expect(jobs(served)).toEqual(['backup failed']);
    });

    test('that is full says that the report is lost if the server is away, too', async () => {
      const disk = new SmallDisk();
      const { host } = await setUp();
      disk.fill();
      const env = {
        RESTIC_REPORT_SPOOL: join(disk.path, 'spool'),
        RESTIC_REPORT_URL: 'http://127.0.0.1:1',
      };
      const { code, stderr } = await host.run(['--', host.program('exit 0'), 'backup'], env);
      expect([code, stderr]).toEqual([0, expect.stringMatching(/so the report is lost/)]);
    });

    test('that is read-only does not prevent the report', async () => {
      const disk = new SmallDisk();
      const { served, host } = await setUp();
      const env = { RESTIC_REPORT_SPOOL: join(disk.path, 'spool') };
      execFileSync('mount', ['-o', 'remount,ro', disk.path]);
      const { code } = await host.run(['--', host.program('exit 0'), 'backup'], env);
      expect(code).toBe(0);
      expect(jobs(served)).toEqual(['backup succeeded']);
    });
  });

  test('without any place to write is done without, and without files at all', async () => {
    const { served, host } = await setUp();
    const nowhere = { RESTIC_REPORT_SPOOL: '/proc/nowhere', TMPDIR: '/proc' };
    const { code, stdout } = await host.run(
      ['--', host.program('echo hi; exit 1'), 'backup'],
      nowhere,
    );
    expect([code, stdout]).toEqual([1, 'hi\n']);
    expect(jobs(served)).toEqual(['backup failed']);
  });
});

needs('faketime', ...PROGRAMS).test(
  'a clock that is a day ahead changes only the times',
  async () => {
    const { served, host } = await setUp();
    const args = ['-f', '+1d', 'sh', SCRIPT, '--', host.program('exit 1'), 'backup'];
    expect(spawnSync('faketime', args, { env: host.env as NodeJS.ProcessEnv }).status).toBe(1);
    expect(jobs(served)).toEqual(['backup failed']);
    await host.run(['--', host.program('exit 0'), 'backup']);
    expect(await served.scrape()).toMatch(/rm_host_last_backup_success{.*} 1\n/);
  },
);

test('a query that is to be skipped is not run, and none after a failure', async () => {
  const calls = async (skip: string, code = '0') => {
    const host = new ReportingHost('http://127.0.0.1:1', 'rmh_x');
    const log = join(host.directory, 'calls');
    const restic = host.program(`echo "$1" >> ${log}\n${RESTIC_018}`);
    await host.run(['--', restic, 'forget'], { RESTIC_REPORT_SKIP: skip, FAKE_CODE: code });
    const names = readFileSync(log, 'utf8').trim().split('\n');
    return names.filter((name) => ['snapshots', 'stats'].includes(name));
  };
  expect(await calls('')).toEqual(['snapshots', 'stats']);
  expect(await calls('summary')).toEqual(['stats']);
  expect(await calls('stats')).toEqual(['snapshots']);
  expect(await calls('stats,summary')).toEqual([]);
  expect(await calls('', '1')).toEqual([]);
});

test('a restic that never tells its version holds the script for some seconds only', async () => {
  const { served, host } = await setUp();
  const startedAt = Date.now();
  const restic = host.program('[ "$1" != version ] || exec sleep 60; exit 1');
  expect(await host.run(['--', restic, 'check'])).toMatchObject({ code: 1, stderr: '' });
  expect(Date.now() - startedAt).toBeLessThan(50_000);
  expect(jobs(served)).toEqual(['check failed']);
});

test('after the clock was set back, the size of the repository is reported as before', async () => {
  const host = new ReportingHost(`http://127.0.0.1:${await freePort()}`, 'rmh_x');
  mkdirSync(host.spool, { recursive: true });
  const inTenDays = Math.round(Date.now() / 1_000) + 10 * 86_400;
  writeFileSync(join(host.spool, 'stats-at'), `${inTenDays}\n`);
  await host.run(['--', host.program(RESTIC_018), 'backup', '/x']);
  const stats = host.waiting.find((name) => name.endsWith('.stats')) ?? '';
  expect(readFileSync(join(host.spool, stats), 'utf8')).toContain('"total_size_bytes":987654');
});

test('killed at 50 moments it never keeps restic from running, and each run is reported at most once', async () => {
  const { served, host } = await setUp();
  const ran = join(host.directory, 'ran');
  const restic = host.program(`[ "$1" != backup ] || echo x >> ${ran}\n${RESTIC_018}`);
  const runs = 50;
  for (let n = 0; n < runs; n++) {
    const child = host.start(['--', restic, 'backup', '/x'], { FAKE_OUT: 'up' });
    const end = ended(child);
    await sleep(n * 12);
    child.kill('SIGKILL');
    await Promise.race([end, sleep(100)]);
  }
  await eventually(async () => {
    await host.run(['flush']);
    expect(host.left.filter((name) => name !== 'stats-at')).toEqual([]);
  });
  const started = existsSync(ran) ? readFileSync(ran, 'utf8').length / 2 : 0;
  const reported = jobs(served).length;
  expect(started).toBeGreaterThan(10);
  expect(reported, 'restic may be killed before it has written its line').toBeGreaterThanOrEqual(
    started,
  );
  expect(reported).toBeLessThanOrEqual(runs);
}, 120_000);

describe('restic-report test', () => {
  const served = servedForAll();
  const result = async (env: Record<string, string>) => {
    const { token } = await served().addHost('cron');
    const host = new ReportingHost(served().url, token);
    const path = `${join(host.program(RESTIC_018), '..')}:${process.env.PATH}`;
    const { code, stdout } = await host.run(['test'], { PATH: path, ...env });
    return [code, stdout];
  };

  test('notes what the environment overrides, and settings that others can read', async () => {
    const { token } = await served().addHost('cron');
    const host = new ReportingHost(served().url, token);
    const file = join(host.directory, 'restic-report.conf');
    host.configure('RESTIC_REPORT_TOKEN=rmh_other\nRESTIC_REPORT_INTERVAL=1d\n');
    const notes = async (mode: number) => {
      chmodSync(file, mode);
      const { stdout } = await host.run(['test'], { RESTIC_REPORT_INTERVAL: '2d' });
      return stdout.split('\n').filter((line) => line.startsWith('  note'));
    };
    const overrides = `  note  settings: the environment overrides RESTIC_REPORT_TOKEN RESTIC_REPORT_INTERVAL of ${file}`;
    expect(await notes(0o600)).toEqual([overrides]);
    expect(await notes(0o644)).toEqual([
      overrides,
      `  note  settings: other users can access ${file}; run chmod 600 ${file}`,
    ]);
  });

  test('finds nothing wrong with what the cases below change', async () => {
    expect(await result({})).toEqual([0, expect.not.stringContaining('FAIL')]);
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['no server', { RESTIC_REPORT_URL: '' }, /FAIL {2}settings: RESTIC_REPORT_URL is not set/],
    [
      'the example',
      { RESTIC_REPORT_TOKEN: 'rmh_...' },
      /FAIL {2}settings: the token is the example/,
    ],
    [
      'a relative spool',
      { RESTIC_REPORT_SPOOL: '~/spool' },
      /FAIL {2}settings: RESTIC_REPORT_SPOOL: must begin/,
    ],
    [
      'an interval',
      { RESTIC_REPORT_INTERVAL: 'daily' },
      /FAIL {2}settings: RESTIC_REPORT_INTERVAL: must be/,
    ],
    [
      'a long interval',
      { RESTIC_REPORT_INTERVAL: '99999999w' },
      /FAIL {2}settings: .* at most a year/,
    ],
    [
      'what to skip',
      { RESTIC_REPORT_SKIP: 'stat' },
      /FAIL {2}settings: RESTIC_REPORT_SKIP: must be/,
    ],
    [
      'a missing file',
      { RESTIC_REPORT_CONFIG: '/nonexistent' },
      /FAIL {2}settings: .* does not exist/,
    ],
    [
      'a dead proxy',
      { http_proxy: 'http://127.0.0.1:1', no_proxy: '' },
      /FAIL {2}connection: .*proxy variable/,
    ],
    ['no scheme', { RESTIC_REPORT_URL: 'backup:8080' }, /FAIL {2}settings: .*must begin with http/],
    [
      'a wrong port',
      { RESTIC_REPORT_URL: 'http://127.0.0.1:1' },
      /FAIL {2}connection: cannot connect to/,
    ],
    [
      'a wrong name',
      { RESTIC_REPORT_URL: 'http://nowhere.invalid' },
      /FAIL {2}connection: cannot resolve the host name/,
    ],
    [
      'a wrong token',
      { RESTIC_REPORT_TOKEN: 'rmh_wrong' },
      /FAIL {2}connection: the server does not know the token/,
    ],
    [
      'a token with quotes',
      { RESTIC_REPORT_TOKEN: 'rmh_"x"' },
      /FAIL {2}settings: the token has invalid characters/,
    ],
    ['no token', { RESTIC_REPORT_TOKEN: '' }, /FAIL {2}settings: neither RESTIC_REPORT_TOKEN nor/],
    [
      'no token file',
      { RESTIC_REPORT_TOKEN: '', RESTIC_REPORT_TOKEN_FILE: '/nonexistent' },
      /FAIL {2}settings: RESTIC_REPORT_TOKEN_FILE: \/nonexistent does not exist/,
    ],
    [
      'no restic',
      { RESTIC_REPORT_RESTIC: '/nonexistent' },
      /FAIL {2}restic: \/nonexistent does not run/,
    ],
    ['a spool that cannot be', { RESTIC_REPORT_SPOOL: '/proc/x' }, /FAIL {2}spool: user/],
    [
      'a missing CA file',
      { RESTIC_REPORT_CA_FILE: '/nonexistent' },
      /FAIL {2}settings: RESTIC_REPORT_CA_FILE/,
    ],
  ])('explains %s', async (_, env, words) => {
    expect(await result(env)).toEqual([1, expect.stringMatching(words)]);
  });
});

describe('the settings', () => {
  test('come from the file, and the environment overrides it', async () => {
    const { served, host } = await setUp();
    host.configure(
      `# a comment\n\n RESTIC_REPORT_URL = "${served.url}/"\r\nRESTIC_REPORT_TOKEN='${host.env.RESTIC_REPORT_TOKEN}'\nRESTIC_REPORT_INTERVAL=90m\n`,
    );
    const none = { RESTIC_REPORT_URL: '', RESTIC_REPORT_TOKEN: undefined };
    expect(await host.run(['--', host.program('exit 0'), 'backup'], none)).toMatchObject({
      stderr: '',
    });
    expect(await served.scrape()).toMatch(/rm_host_backup_interval_seconds{.*} 5400\n/);
    await host.run(['--', host.program('exit 0'), 'backup'], {
      ...none,
      RESTIC_REPORT_INTERVAL: '2d',
    });
    expect(await served.scrape()).toMatch(/rm_host_backup_interval_seconds{.*} 172800\n/);
  });

  test('that are wrong are named with their line, and restic runs', async () => {
    const { host } = await setUp();
    host.configure('RESTIC_REPORT_URI=x\nnonsense\nRESTIC_REPORT_INTERVAL=daily\n');
    const { code, stderr } = await host.run(['--', host.program('exit 5'), 'backup']);
    expect(code).toBe(5);
    expect(stderr).toMatch(/restic-report.conf:1: unknown setting RESTIC_REPORT_URI/);
    expect(stderr).toMatch(/restic-report.conf:2: must be NAME=VALUE/);
    expect(stderr).toMatch(/RESTIC_REPORT_INTERVAL: must be a number of seconds/);
  });

  test('may name the address with the path of the endpoint', async () => {
    const { served, host } = await setUp();
    const env = { RESTIC_REPORT_URL: `${served.url}/agent/messages/` };
    await host.run(['--', host.program('exit 0'), 'backup'], env);
    expect(jobs(served)).toEqual(['backup succeeded']);
  });

  test('of the file name the restic that is run, also for the link', async () => {
    const { served, host } = await setUp();
    host.configure(`\ufeffexport RESTIC_REPORT_RESTIC=${host.program('echo mine; exit 0')}\n`);
    expect((await host.run(['--', 'restic', 'backup'])).stdout).toBe('mine\n');
    expect((await host.run(['--', 'restic', 'snapshots'])).stdout).toBe('mine\n');
    expect(jobs(served)).toEqual(['backup succeeded']);
  });

  test('that name the script itself as restic do not make it call itself', async () => {
    const { host } = await setUp();
    const path = `${join(host.program('echo real'), '..')}:${process.env.PATH}`;
    const env = { RESTIC_REPORT_RESTIC: SCRIPT, PATH: path };
    expect((await host.run(['--', 'restic', 'version'], env)).stdout).toBe('real\n');
  });

  needs('setpriv', ...PROGRAMS).test('of a second file have a spool of their own', async () => {
    const { host } = await setUp();
    const second = join(host.directory, 'second.conf');
    writeFileSync(second, '');
    const state = join(host.directory, 'state');
    const env = {
      RESTIC_REPORT_URL: 'http://127.0.0.1:1',
      RESTIC_REPORT_SPOOL: '',
      XDG_STATE_HOME: state,
    };
    const start = [...host.leaveRoot(), 'sh', SCRIPT, '--'];
    const reportWith = (config: string) => {
      const [program = '', ...args] = [...start, host.program('exit 0'), 'check'];
      const all = { ...host.env, ...env, RESTIC_REPORT_CONFIG: config } as NodeJS.ProcessEnv;
      spawnSync(program, args, { env: all });
    };
    reportWith(second);
    reportWith(join(host.directory, 'restic-report.conf'));
    expect(
      execFileSync('find', [state, '-name', '*.job'], { encoding: 'utf8' }).trim().split('\n'),
    ).toHaveLength(2);
    expect(
      execFileSync('find', [state, '-name', '000000000001.job'], { encoding: 'utf8' })
        .trim()
        .split('\n'),
    ).toHaveLength(2);
  });

  test('that cannot be read are said only if one is missing', async () => {
    const { served, host } = await setUp();
    const gone = { RESTIC_REPORT_CONFIG: '/nonexistent' };
    expect(await host.run(['--', host.program('exit 0'), 'backup'], gone)).toMatchObject({
      stderr: '',
    });
    expect(jobs(served)).toEqual(['backup succeeded']);
    const { stderr } = await host.run(['--', host.program('exit 0'), 'backup'], {
      ...gone,
      RESTIC_REPORT_URL: '',
    });
    expect(stderr).toMatch(/RESTIC_REPORT_URL is not set, and \/nonexistent does not exist/);
  });

  test('that are missing only mean that nothing is reported', async () => {
    const { host } = await setUp();
    const { code, stderr } = await host.run(['--', host.program('exit 5'), 'backup'], {
      RESTIC_REPORT_URL: '',
    });
    expect([code, stderr]).toEqual([
      5,
      expect.stringMatching(/RESTIC_REPORT_URL is not set; this run is not reported/),
    ]);
  });

  test('may not be executed', async () => {
    const { host } = await setUp();
    host.configure(`RESTIC_REPORT_SPOOL=$(touch ${host.directory}/executed)\n`);
    await host.run(['flush'], { RESTIC_REPORT_SPOOL: '' });
    expect(existsSync(join(host.directory, 'executed'))).toBe(false);
  });
});

needs('bash').test('a command of restic in place of restic is explained', async () => {
  const { host } = await setUp();
  const { code, stderr } = await host.run(['--', 'backup', '/etc']);
  expect(code).toBe(127);
  expect(stderr).toContain(
    'backup is not found on the PATH; write: restic-report -- restic backup',
  );
});

test('without curl restic runs, and the report waits', async () => {
  const { host } = await setUp();
  const bin = join(host.directory, 'utilities');
  mkdirSync(bin);
  for (const name of execFileSync('sh', ['-c', 'ls /bin /usr/bin'], { encoding: 'utf8' }).split(
    '\n',
  )) {
    if (name === '' || name === 'curl' || name.includes(':') || existsSync(join(bin, name)))
      continue;
    symlinkSync(
      existsSync(join('/bin', name)) ? join('/bin', name) : join('/usr/bin', name),
      join(bin, name),
    );
  }
  const restic = host.program('exit 0');
  chmodSync(restic, 0o755);
  const { code, stderr } = await host.run(['--', restic, 'backup'], { PATH: bin });
  expect([code, stderr]).toEqual([0, expect.stringMatching(/curl is not installed/)]);
  expect(host.waiting.length).toBeGreaterThan(0);
});
