import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { cli, eventually, Served } from '../support/serve.ts';

/** Changes that the command line made and that no server has read so far. */
function unread(dataDir: string): number {
  const db = new DatabaseSync(join(dataDir, 'fleet.db'), { timeout: 5_000 });
  const row = db.prepare('SELECT count(*) AS changes FROM host_changes').get();
  db.close();
  return Number(row?.changes);
}

// Else an agent that connects with the token as soon as it is printed is sent away, and a script that goes on finds
// the host as it was.
test.each([
  ['add', ['added']],
  ['token', []],
  ['rename', ['renamed']],
  ['remove', []],
])('hosts %s is done when a running server knows of it, not before', async (action, names) => {
  const served = await Served.start();
  const { host_id: id } = await served.addHost('web');
  process.kill(served.pid, 'SIGSTOP');
  onTestFinished(() => void process.kill(served.pid, 'SIGCONT'));
  let isDone = false;
  const args = action === 'add' ? names : [id, ...names];
  const changed = cli(['hosts', action, ...args], { RM_DATA_DIR: served.dataDir });
  void changed.then(() => {
    isDone = true;
  });
  await eventually(() => expect(unread(served.dataDir)).toBe(1));
  await sleep(500);
  expect(isDone).toBe(false);
  process.kill(served.pid, 'SIGCONT');
  expect((await changed).code).toBe(0);
  expect(unread(served.dataDir)).toBe(0);
});

test('hosts add does not wait for ever for a server that hangs, because nobody else can print the token', async () => {
  const served = await Served.start();
  process.kill(served.pid, 'SIGSTOP');
  onTestFinished(() => void process.kill(served.pid, 'SIGCONT'));
  // A command that does not end is killed.
  const { code, stdout } = await cli(['hosts', 'add', 'web'], { RM_DATA_DIR: served.dataDir });
  expect([code, JSON.parse(stdout).host]).toEqual([0, 'web']);
});
