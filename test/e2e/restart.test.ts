import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/programs.ts';
import { eventually, Served, sample, temporaryDirectory } from '../support/serve.ts';

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'starts at once on the port that it had, after %s',
  async (signal) => {
    const address = `127.0.0.1:${await freePort()}`;
    const served = await Served.start({ RM_LISTEN: address });
    const { token } = await served.addHost('web');
    // The server closes this one, so it is the server's end of it that lingers in TIME_WAIT.
    await TestAgent.online(served.agentUrl, token);
    await served.stop(signal);
    const again = await Served.start({ RM_LISTEN: address }, served.dataDir);
    expect(again.url).toBe(served.url);
    await TestAgent.online(again.agentUrl, token);
  },
);

test('does not hold against a host that it could not connect', async () => {
  const served = await Served.start();
  const { token, host_id: id } = await served.addHost('web');
  const agent = await TestAgent.online(served.agentUrl, token);
  agent.close();
  const open = `rm_host_agent_online{host_id="${id}",host="web"}`;
  await eventually(async () => expect(sample(await served.scrape(), open)).toBe(0));
  await served.stop();
  // It went away just before the server did, an hour ago.
  const database = new DatabaseSync(join(served.dataDir, 'fleet.db'));
  database.exec('UPDATE hosts SET offline_since = offline_since - 3600000');
  database.close();
  const again = await Served.start({}, served.dataDir);
  const offlineSince = () => {
    const reader = new DatabaseSync(join(again.dataDir, 'fleet.db'), { timeout: 5_000 });
    const row = reader.prepare('SELECT offline_since AS at FROM hosts').get();
    reader.close();
    return Number(row?.at);
  };
  expect(Date.now() - offlineSince()).toBeLessThan(60_000);
});

/** Names of the files that a process has open. */
function openFiles(pid: number | undefined): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).map((fd) => basename(readlinkSync(join(directory, fd))));
}

test('a signal while it cannot start changes nothing about why', async () => {
  const served = await Served.start();
  const env = { ...process.env, RM_DATA_DIR: served.dataDir, RM_LISTEN: '127.0.0.1:0' };
  const second = spawn(process.execPath, ['src/cli.ts', 'serve'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void second.kill('SIGKILL'));
  const printed = text(second.stderr);
  // It waits a second for this file.
  await eventually(() => expect(openFiles(second.pid)).toContain('serve.lock'));
  second.kill('SIGTERM');
  expect((await printed).match(/another restic-manager serves/g)).toHaveLength(1);
  expect(await printed).not.toContain('    at ');
});

needs('npm').test.each(['SIGTERM', 'SIGINT'] as const)('npm start passes %s on', async (signal) => {
  const npm = spawn('npm', ['start'], {
    env: { ...process.env, RM_DATA_DIR: temporaryDirectory(), RM_LISTEN: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  onTestFinished(() => {
    try {
      process.kill(-(npm.pid ?? 0), 'SIGKILL');
    } catch {} // nothing is left of its group, as it should be
  });
  const ended = new Promise((resolve) => npm.once('exit', resolve));
  const output = text(
    npm.stdout.on('data', function listening(chunk) {
      if (!String(chunk).includes('listening on')) return;
      npm.stdout.off('data', listening);
      npm.kill(signal);
    }),
  );
  expect(await ended).toBe(0);
  // Its end: no process holds the other end of the pipe any more.
  expect(await output).toContain('listening on');
});

test('shares its port with no second one', async () => {
  const chosen = `127.0.0.1:${await freePort()}`;
  await Served.start({ RM_LISTEN: chosen });
  const given = new URL((await Served.start()).url).host;
  for (const taken of [chosen, given]) {
    await expect(Served.start({ RM_LISTEN: taken })).rejects.toThrow(
      `serve ended with 1: restic-manager: ${taken}: cannot listen; another program uses the port`,
    );
  }
});
