import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { JOB_KINDS } from '../../src/contract/jobs.ts';
import { FAMILIES } from '../../src/shared/families.ts';
import { CLI, RunningCli } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/programs.ts';
import { eventually, sample, temporaryDirectory } from '../support/serve.ts';

const shell = (command: string) => promisify(execFile)('sh', ['-c', command]);

/** A demo whose temporary files are in a directory of the test's. */
function startDemo(args: readonly string[], variables = {}) {
  const directory = temporaryDirectory();
  const demo = new RunningCli(['demo', ...args], { TMPDIR: directory, ...variables });
  return { demo, temporaryFiles: () => readdirSync(directory) };
}

/** Listens on a port until the test is over, unless another program does already. */
async function occupy(port: number): Promise<number> {
  const server = createServer();
  onTestFinished(() => void server.close());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening').catch((error) => {
    if (error.code !== 'EADDRINUSE') throw error;
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

const values = (body: string, family: string) =>
  body
    .split('\n')
    .filter((line) => line.startsWith(`${family}{`) || line.startsWith(`${family} `))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));

const jobCount = (body: string, kind: string, status: string) =>
  sample(body, `rm_job_duration_seconds_count{kind="${kind}",status="${status}"}`) ?? Number.NaN;

describe('a small fleet', () => {
  needs('curl').test(
    'is shown by the curl line and the Prometheus config that are printed',
    async () => {
      const { demo, temporaryFiles } = startDemo(['--hosts', '12', '--listen', '127.0.0.1:0'], {
        // What serve would refuse to start with.
        RM_LISTEN: 'nowhere',
        RM_METRICS_TOKEN_FILE: '/does/not/exist',
      });
      const [curl] = await demo.output(/^curl .*$/m);
      const [, config = ''] = await demo.output(/^(global:\n(?:.+\n)+?)END\n/m);

      const target = /http:\/\/([^/]+)\/metrics/.exec(curl)?.[1];
      const token = /Bearer (\w+)/.exec(curl)?.[1];
      expect(parse(config)).toMatchObject({
        scrape_configs: [
          {
            authorization: { credentials: token },
            static_configs: [{ targets: [target] }],
          },
        ],
      });

      const gone = /^rm_host_agent_online\{.*,host="app-01\.fra"\} 0$/m;
      const failing = /^rm_host_last_backup_success\{.*,host="db-01\.fra"\} 0$/m;
      const body = await eventually(async () => {
        const { stdout } = await shell(curl);
        const done = JOB_KINDS.filter((kind) => jobCount(stdout, kind, 'succeeded') > 0);
        expect(done).toEqual(expect.arrayContaining(['backup', 'init']));
        expect(done.length).toBeGreaterThan(3);
        expect(values(stdout, 'rm_hosts_total')).toEqual([11]);
        // One was never backed up, one has no repository.
        expect(values(stdout, 'rm_host_last_backup_success')).toHaveLength(9);
        expect(values(stdout, 'rm_host_repo_size_bytes')).toHaveLength(10);
        expect(stdout).toMatch(failing);
        expect(stdout, 'the agent that never comes back').toMatch(gone);
        expect(stdout).toMatch(/rm_host_repo_status\{.*status="init_failed"\} 1/);
        return stdout;
      }, 50_000);

      for (const { name, type } of FAMILIES) {
        if (name === 'rm_host_agent_reports_by_http') continue; // simulated hosts have connections
        expect(values(body, type === 'histogram' ? `${name}_count` : name), name).not.toEqual([]);
      }
      const [online = 0] = values(body, 'rm_hosts_online');
      expect(online).toBeGreaterThanOrEqual(7); // one is gone for good, one now and then
      expect(online).toBeLessThanOrEqual(11);
      expect(Math.max(...values(body, 'rm_host_repo_size_bytes'))).toBeGreaterThan(2 ** 30);
      expect(sample(body, 'rm_active_alerts{severity="critical"}')).toBeGreaterThan(0);
      expect(sample(body, 'rm_active_alerts{severity="warning"}')).toBeGreaterThan(0);
      expect(body).toContain('host="laptop-zoë"');
      expect(new Set(values(body, 'rm_host_backup_interval_seconds'))).toEqual(new Set([86_400]));
      const labels = 'kind="backup",status="succeeded"';
      const sum = sample(body, `rm_job_duration_seconds_sum{${labels}}`) ?? 0;
      expect(sum / jobCount(body, 'backup', 'succeeded')).toBeGreaterThan(60);

      expect(temporaryFiles()).toHaveLength(1);
      expect(await demo.end('SIGINT')).toBe(0);
      expect(temporaryFiles()).toEqual([]);
    },
  );

  needs('curl').test('says when it was scraped, and how much that was', async () => {
    const { demo } = startDemo(['--hosts', '2', '--listen', '127.0.0.1:0']);
    const [curl] = await demo.output(/^curl .*$/m);
    await shell(curl);
    await demo.output(
      /^1\/1 agents \| \d+ jobs finished, \d+ failed \| last scrape \d+ s ago, \d+ kB$/m,
    );
  });

  needs('prometheus').test(
    'is scraped by the Prometheus that is printed, which leaves nothing behind',
    async () => {
      const { demo } = startDemo(['--hosts', '12', '--listen', '127.0.0.1:0']);
      const [, commands = ''] = await demo.output(/^(\(dir=[\s\S]*?--log\.level=warn\))\n/m);
      const [, query = ''] = await demo.output(/last backup failed:\n\n(.+)\n/);
      const address = `127.0.0.1:${await freePort()}`;
      const directory = temporaryDirectory();
      // In a process group of its own, which gets the Ctrl-C as from a terminal.
      const shell = spawn('sh', ['-c', commands.replace('127.0.0.1:9190', address)], {
        env: { ...process.env, TMPDIR: directory },
        stdio: 'inherit',
        detached: true,
      });
      const ended = once(shell, 'exit');
      const interrupt = () => process.kill(-Number(shell.pid), 'SIGINT');
      onTestFinished(() => {
        if (shell.exitCode === null && shell.signalCode === null) interrupt();
      });
      await eventually(async () => {
        const url = `http://${address}/api/v1/query?query=${encodeURIComponent(query)}`;
        const answer = (await (await fetch(url)).json()) as { data: { result: unknown[] } };
        expect(answer.data.result.length).toBeGreaterThan(0);
      }, 40_000);
      expect(readdirSync(directory)).toHaveLength(1);
      interrupt();
      await ended;
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  // Not every system can connect to the address on which it listens then.
  test.each([
    ['0.0.0.0', '127.0.0.1'],
    ['[::]', '[::1]'],
  ])('that listens on %s is shown at %s, and asks for the token', async (all, loopback) => {
    const { demo } = startDemo(['--hosts', '1', '--listen', `${all}:0`]);
    const [url] = await demo.output(/http:\S+\/metrics/);
    expect(new URL(url).hostname).toBe(loopback);
    expect((await fetch(url)).status).toBe(401);
  });
});

needs('restic', 'curl').describe('--restic', () => {
  test('adds three hosts with real repositories, and leaves nothing behind', async () => {
    const args = ['--hosts', '1', '--listen', '127.0.0.1:0', '--restic'];
    const cache = temporaryDirectory();
    const { demo, temporaryFiles } = startDemo(args, {
      XDG_CACHE_HOME: cache,
      // Those of the user's own backups, with which restic and restic-report would do something else.
      RESTIC_REPOSITORY_FILE: '/does/not/exist',
      RESTIC_PASSWORD_FILE: '/does/not/exist',
      RESTIC_PASSWORD_COMMAND: 'false',
      RESTIC_REPORT_CONFIG: '/does/not/exist',
      RESTIC_REPORT_TOKEN_FILE: '/does/not/exist',
      RESTIC_REPORT_CACERT: '/does/not/exist',
    });
    const [curl] = await demo.output(/^curl .*$/m);
    expect(demo.stdout).toContain('restic-1 to restic-3');
    await eventually(async () => {
      const { stdout } = await shell(curl);
      const hosts = stdout.matchAll(/^rm_host_agent_reports_by_http{.*host="(.*)"} 1$/gm);
      expect([...hosts].map(([, host]) => host).sort()).toEqual([
        'restic-1',
        'restic-2',
        'restic-3',
      ]);
      for (const host of ['restic-1', 'restic-2', 'restic-3']) {
        const row = (family: string, value: string) =>
          new RegExp(`^${family}{.*host="${host}".*} ${value}$`, 'm');
        expect(stdout).toMatch(row('rm_host_last_backup_success', '1'));
        expect(stdout).toMatch(row('rm_host_snapshot_count', '[1-9]'));
        expect(stdout).toMatch(row('rm_host_repo_size_bytes', '[1-9]\\d+'));
        expect(stdout).toMatch(row('rm_host_info', '1'));
        expect(stdout).toMatch(row('rm_host_backup_interval_seconds', '20'));
      }
    }, 50_000);
    expect(await demo.end('SIGINT')).toBe(0);
    expect(temporaryFiles()).toEqual([]);
    expect(readdirSync(cache)).toEqual([]);
  });
});

test('ends with 1 and leaves nothing behind when the simulated agents cannot go on', async () => {
  const preload = join(temporaryDirectory(), 'broken.mjs');
  writeFileSync(
    preload,
    `import { isMainThread, workerData } from 'node:worker_threads';
    if (!isMainThread && workerData?.hosts !== undefined) throw new Error('broken agents');`,
  );
  const { demo, temporaryFiles } = startDemo(['--hosts', '2', '--listen', '127.0.0.1:0'], {
    NODE_OPTIONS: `--import=${preload}`,
  });
  expect(await demo.exited).toBe(1);
  expect(demo.stderr).toMatch(/fatal error, exiting/);
  expect(demo.stderr).toContain('broken agents');
  expect(temporaryFiles()).toEqual([]);
});

test('--restic says which program is missing', async () => {
  const { demo, temporaryFiles } = startDemo(['--restic'], { PATH: '/nonexistent' });
  expect(await demo.exited).toBe(2);
  expect(demo.stderr).toContain('--restic: restic and curl must be installed');
  expect(temporaryFiles()).toEqual([]);
});

describe('the end', () => {
  test.each(['SIGTERM', 'SIGHUP'] as const)('comes with %s, too', async (signal) => {
    const { demo, temporaryFiles } = startDemo(['--hosts', '3', '--listen', '127.0.0.1:0']);
    await demo.output(/^curl/m);
    expect(await demo.end(signal)).toBe(0);
    expect(temporaryFiles()).toEqual([]);
  });

  test('may come while it is still starting', async () => {
    const { demo, temporaryFiles } = startDemo(['--hosts', '2000', '--listen', '127.0.0.1:0']);
    await eventually(() => expect(temporaryFiles()).toHaveLength(1));
    expect(await demo.end('SIGINT')).toBe(0);
    expect(temporaryFiles()).toEqual([]);
  });

  test('may come while hosts are being enrolled', async () => {
    const { demo, temporaryFiles } = startDemo(['--hosts', '9000', '--listen', '127.0.0.1:0']);
    await demo.output(/^restic-manager demo/);
    expect(await demo.end('SIGINT')).toBe(0);
    expect(temporaryFiles()).toEqual([]);
  });

  test('comes when nobody reads the output any more', async () => {
    const { demo, temporaryFiles } = startDemo(['--hosts', '3', '--listen', '127.0.0.1:0']);
    demo.process.stdout?.destroy();
    expect(await demo.exited).toBe(0);
    expect(temporaryFiles()).toEqual([]);
  });
});

describe('a port that is taken', () => {
  test('is not insisted on if it is the default', async () => {
    await occupy(8080);
    const { demo } = startDemo(['--hosts', '1']);
    await demo.output(
      /^ {2}http:\/\/127\.0\.0\.1:(?!8080\b)\d+\/#token=\S+\n {2}\(port 8080 is in use\)$/m,
    );
    expect(await demo.end('SIGINT')).toBe(0);
  });

  test('is not spoken of if another port was asked for', async () => {
    const { demo } = startDemo(['--hosts', '1', '--listen', '127.0.0.1:0']);
    await demo.output(/^curl/m);
    expect(demo.stdout).toMatch(/^ {2}http:\/\/127\.0\.0\.1:\d+\/#token=\S+$/m);
    expect(demo.stdout).not.toContain('is in use');
    expect(await demo.end('SIGINT')).toBe(0);
  });

  test('is an error if it was asked for', async () => {
    const port = await occupy(0);
    const { demo, temporaryFiles } = startDemo(['--listen', `127.0.0.1:${port}`]);
    expect(await demo.exited).toBe(1);
    expect(demo.stderr).toContain(`127.0.0.1:${port}: cannot listen`);
    expect(temporaryFiles()).toEqual([]);
  });
});

test.each([
  [['--hosts', '0'], '--hosts: must be a whole number from 1 to 18000, not "0"'],
  [['--hosts', '18001'], '--hosts: must be a whole number from 1 to 18000, not "18001"'],
  [['--hosts', '1e3'], '--hosts: must be a whole number from 1 to 18000, not "1e3"'],
  [['--hosts', ''], '--hosts: must be a whole number from 1 to 18000, not ""'],
  [['--hosts=-1'], '--hosts: must be a whole number from 1 to 18000, not "-1"'],
  [['--listen', '8080'], '--listen: must be HOST:PORT'],
  [['twelve'], 'unexpected argument "twelve"'],
  [['--host', '3'], "Unknown option '--host'"],
])('demo %j is refused with a hint', async (args, message) => {
  const { demo, temporaryFiles } = startDemo(args);
  expect(await demo.exited).toBe(2);
  expect(demo.stderr).toContain(message);
  expect(demo.stderr).toContain('Try restic-manager demo --help');
  expect(temporaryFiles()).toEqual([]);
});

test('--hosts counts both ends of each connection among the open files', async () => {
  const command = `ulimit -n 600 && exec ${process.execPath} ${CLI} demo --hosts 300`;
  const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([2, expect.stringContaining('--hosts: must be at most 200 ')]);
});

test.each(['serve', 'demo', 'hosts'])('%s -h shows its usage, as --help does', async (command) => {
  const shown = new RunningCli([command, '-h']);
  expect(await shown.exited).toBe(0);
  expect(shown.stdout).toContain(`restic-manager ${command}`);
});
