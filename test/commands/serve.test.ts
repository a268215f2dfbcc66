import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { createCertificate } from '../support/certificate.ts';
import { CLI, RunningCli } from '../support/cli.ts';
import { ask } from '../support/http.ts';
import { needs } from '../support/programs.ts';
import { eventually, Served, TOKEN, temporaryDirectory } from '../support/serve.ts';

const WARN = 'warn';
const ERROR = 'error';
/** The line of the start, which every log has. */
const STARTED = { level: 'info', msg: 'started' };

/** The lines of the log, which are what an operator has. */
function linesOf(served: Served): Record<string, unknown>[] {
  return served.log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describe('the log says', () => {
  test.each(['1', '2'])(
    'why a scrape was answered with 503, which the client is not told (agent_threads=%s)',
    async (threads) => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      const headers = {
        Authorization: `Bearer ${TOKEN}`,
        'X-Prometheus-Scrape-Timeout-Seconds': '1e-9',
      };
      // A busy machine may have the metrics ready before it sees that the time is over.
      await eventually(async () =>
        expect((await ask(served.metricsUrl, { headers })).status).toBe(503),
      );
      await eventually(() =>
        expect(linesOf(served)).toContainEqual(
          expect.objectContaining({
            level: ERROR,
            event: 'scrape_failed',
            msg: 'scrape failed, answered with 503',
            err: expect.objectContaining({ code: 'render_too_late' }),
          }),
        ),
      );
    },
  );

  test('where the metrics are, also on an address of their own', async () => {
    const served = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0' });
    const metrics = `http://${new URL(served.metricsUrl).host}/metrics`;
    expect(metrics).not.toBe(`${served.url}/metrics`);
    await eventually(() =>
      expect(linesOf(served)).toMatchObject([{ ...STARTED, metrics, agents: served.url }]),
    );
  });

  test('what has started: versions, database, hosts, addresses and threads', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    const first = await Served.start({ RM_AGENT_THREADS: '2' });
    const database = join(first.dataDir, 'fleet.db');
    const started = { ...STARTED, version, node: process.version, database };
    await eventually(() =>
      expect(linesOf(first)).toEqual([
        {
          ...started,
          time: expect.any(String),
          new_database: true,
          hosts: 0,
          agents: first.url,
          metrics: first.metricsUrl,
          agent_threads: 2,
        },
      ]),
    );
    await first.addHost('web');
    await first.stop();
    const second = await Served.start({ RM_METRICS_TOKEN: '' }, first.dataDir);
    await eventually(() =>
      expect(linesOf(second)[1]).toEqual({
        ...started,
        time: expect.any(String),
        hosts: 1,
        agents: second.url,
        metrics: 'disabled',
        agent_threads: 1,
      }),
    );
  });

  test('that there are no metrics without a gate, and what makes one', async () => {
    const served = await Served.start({ RM_METRICS_TOKEN: '' });
    await eventually(() =>
      expect(linesOf(served)).toMatchObject([
        { level: WARN, msg: expect.stringMatching(/RM_METRICS_TOKEN or RM_METRICS_TRUSTED_CIDR/) },
        STARTED,
      ]),
    );
  });

  test('which variables it does not know, but not what they hold', async () => {
    const served = await Served.start({ RM_METRICS_TOKN: 'a-secret-with-a-mistyped-name' });
    await eventually(() =>
      expect(linesOf(served)).toMatchObject([
        { level: WARN, variable: 'RM_METRICS_TOKN' },
        STARTED,
      ]),
    );
    expect(served.log).not.toContain('a-secret');
  });

  test('which trusted proxy is inside a trusted network', async () => {
    const served = await Served.start({
      RM_METRICS_TRUSTED_CIDR: '10.0.0.0/8',
      RM_TRUSTED_PROXY: '10.1.2.3,192.0.2.1',
    });
    await eventually(() =>
      expect(linesOf(served)).toMatchObject([{ level: WARN, proxy: '10.1.2.3' }, STARTED]),
    );
  });

  test('nothing but the start while everything is well', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.job({ id: '1', kind: 'backup', status: 'succeeded' });
    await served.scrape();
    expect(linesOf(served)).toMatchObject([STARTED]);
  });

  test('by which signal it ends, and that all is on disk', async () => {
    const served = await Served.start();
    expect(await served.stop('SIGINT')).toBe(0);
    expect(linesOf(served)).toMatchObject([
      STARTED,
      { signal: 'SIGINT', msg: 'shutting down' },
      { msg: 'shutdown complete, all acknowledged data is stored' },
    ]);
  });
});

// As when somebody is impatient, or a terminal and a supervisor both send one.
test('a second signal while it shuts down changes nothing', async () => {
  const served = await Served.start();
  const { token } = await served.addHost('web');
  const agent = await TestAgent.online(served.agentUrl, token);
  process.kill(served.pid, 'SIGTERM');
  expect(await served.stop('SIGINT')).toBe(0);
  expect((await agent.closed).code).toBe(1012);
  expect(linesOf(served)).toMatchObject([
    STARTED,
    { msg: 'shutting down' },
    { msg: 'shutdown complete, all acknowledged data is stored' },
  ]);
});

// As when a timer that renews the certificate tells a server to reload that a supervisor starts just then.
test('SIGHUP does not end a server whose start has just begun', async () => {
  const preload = join(temporaryDirectory(), 'early.mjs');
  writeFileSync(
    preload,
    `import { registerHooks } from 'node:module';
    registerHooks({
      load(url, context, next) {
        if (url.endsWith('/commands/serve.ts')) process.kill(process.pid, 'SIGHUP');
        return next(url, context);
      },
    });`,
  );
  const served = await Served.start({ NODE_OPTIONS: `--import=${preload}` });
  expect(await served.stop()).toBe(0);
});

/** A module by which the store thread stands still from SIGUSR2 on, as it does on a disk that hangs. */
function standstill(): string {
  const file = join(temporaryDirectory(), 'standstill.mjs');
  writeFileSync(
    file,
    `import { writeSync } from 'node:fs';
    import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';
    const channel = new BroadcastChannel('standstill');
    channel.unref();
    if (isMainThread) process.on('SIGUSR2', () => channel.postMessage('now'));
    else if (workerData?.dataDir !== undefined) {
      channel.onmessage = () => {
        writeSync(2, '{"msg":"stands still"}\\n');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      };
    }`,
  );
  return file;
}

// What is killed by its supervisor looks like a crash, and says nothing.
test('shutting down ends with 1 within ten seconds when a part of it hangs', async () => {
  const served = await Served.start({ NODE_OPTIONS: `--import=${standstill()}` });
  process.kill(served.pid, 'SIGUSR2');
  await eventually(() => expect(served.log).toContain('stands still'));
  const tooLate = sleep(10_000, 'still running');
  expect(await Promise.race([served.stop(), tooLate])).toBe(1);
  expect(linesOf(served).at(-1)).toMatchObject({
    level: ERROR,
    msg: 'shutdown timed out, exiting',
  });
});

// `script` of util-linux gives a program a terminal.
needs('script').test('in a terminal the log is readable', async () => {
  const dataDir = temporaryDirectory();
  const command = `exec ${process.execPath} ${CLI} serve`;
  const terminal = spawn('script', ['-qefc', command, '/dev/null'], {
    env: { ...process.env, RM_DATA_DIR: dataDir, RM_LISTEN: '127.0.0.1:0', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  terminal.stdout.on('data', (data) => {
    output += data;
  });
  const ended = once(terminal, 'exit');
  onTestFinished(() => void terminal.kill());
  await eventually(() => expect(output).toContain('listening on http'));
  expect(output).toMatch(/^\d\d:\d\d:\d\d INFO {2}started {2}version=\S+ node=v\S+ database=\S+/m);
  expect(output).toMatch(/^\d\d:\d\d:\d\d WARN {2}\/metrics is disabled/m);
  expect(output).not.toContain('{"level"');
  terminal.kill('SIGTERM');
  await ended;
});

describe('a start that fails ends the process with 1', () => {
  const start = async (variables: Record<string, string>) => {
    const dataDir = join(temporaryDirectory(), 'data');
    const serve = new RunningCli(['serve'], {
      RM_DATA_DIR: dataDir,
      RM_LISTEN: '127.0.0.1:0',
      RM_METRICS_TOKEN: TOKEN,
      ...variables,
    });
    const code = await serve.exited;
    const { stderr, stdout } = serve;
    return { code, stderr, stdout, hasData: existsSync(dataDir) };
  };

  test.each(['1', '2'])('without a build of uWebSockets.js (agent_threads=%s)', async (threads) => {
    const preload = join(temporaryDirectory(), 'no-uws.cjs');
    writeFileSync(
      preload,
      `const Module = require('node:module');
       const load = Module._load;
       Module._load = function (name, ...rest) {
         if (name.startsWith('uWebSockets.js')) throw new Error('no such build');
         return load.call(this, name, ...rest);
       };`,
    );
    const result = await start({ NODE_OPTIONS: `--require=${preload}`, RM_AGENT_THREADS: threads });
    expect(result).toMatchObject({ code: 1, stdout: '', hasData: false });
    expect(result.stderr).toMatch(
      /^restic-manager: uWebSockets\.js cannot be loaded: .*npm ci.*\n$/m,
    );
  });

  needs('openssl').test.each(['1', '2'])(
    'with a certificate that uWebSockets.js rejects (agent_threads=%s)',
    async (threads) => {
      // OpenSSL and so Node take this curve, BoringSSL and so uWebSockets.js do not.
      const { cert, key } = createCertificate(temporaryDirectory(), 'localhost', 'secp256k1');
      const { code, stderr } = await start({
        RM_TLS_CERT_FILE: cert,
        RM_TLS_KEY_FILE: key,
        RM_AGENT_THREADS: threads,
      });
      expect(code, stderr).toBe(1);
      expect(stderr).not.toBe('');
    },
  );
});
