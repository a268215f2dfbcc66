import { createHash } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import type { StoreMessage } from '../../src/contract/operations.ts';
import { Store } from '../../src/loop/doors/store.ts';
import { StoreClient } from '../../src/loop/doors/store-client.ts';
import { EventLog } from '../../src/platform/event-log.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import type { ServingData } from '../../src/store-thread/store.worker.ts';
import { cli, temporaryDirectory } from '../support/serve.ts';
import { ulidOf } from '../support/ulid.ts';

const serving = (): ServingData => ({
  fleet: new FleetTable().buffer,
  exclude: [],
  shard: { index: 0, count: 1 },
  stats: ServerStats.create().buffer,
  events: EventLog.allocate(),
  logLevel: 'silent',
});

async function open(dataDir: string, data: ServingData | undefined): Promise<Store> {
  const store = await Store.open({ dataDir, missing: 'create', serving: data });
  onTestFinished(() => store.close());
  return store;
}

async function nextMessage(port: MessagePort): Promise<StoreMessage> {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received !== undefined) return received.message;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a control plane is told where its database is, whether it is new, and how many hosts it has', async () => {
  const dataDir = temporaryDirectory();
  const path = join(dataDir, 'fleet.db');
  const command = await open(dataDir, undefined);
  expect(command.database).toEqual({ path, isNew: true, hosts: undefined });
  const client = new StoreClient(command.link());
  await client.submit('addHosts', { hosts: ['a', 'b'] });
  client.close();
  const served = await open(relative(process.cwd(), dataDir), serving());
  expect(served.database).toEqual({ path, isNew: false, hosts: 2 });
});

test('a loop of a control plane is told all tokens first, and a command none', async () => {
  const dataDir = temporaryDirectory();
  const command = await open(dataDir, undefined);
  const client = new StoreClient(command.link());
  const [{ hostId = '' } = {}] = await client.submit('addHosts', { hosts: ['a'] });
  client.close();
  const served = await open(dataDir, serving());
  expect(await nextMessage(served.link().port)).toEqual({
    tokenChanges: { added: [[hostId, expect.any(Uint8Array)]], removed: [] },
  });
  expect(await nextMessage(command.link().port)).toEqual({
    tokenChanges: { added: [], removed: [] },
  });
});

// Else the agent would be refused again when it comes back soon.
test('a loop that asks about the token of a host that was just added is told the token before the answer', async () => {
  const dataDir = temporaryDirectory();
  const served = await open(dataDir, serving());
  const { port } = served.link();
  await nextMessage(port); // all tokens
  const command = await open(dataDir, undefined);
  const client = new StoreClient(command.link());
  // The store also looks by itself, now and then, so one time proves nothing.
  for (let time = 0; time < 5; time++) {
    const [{ hostId = '', token = '' } = {}] = await client.submit('addHosts', { hosts: ['a'] });
    const tokenDigest = createHash('sha256').update(token).digest();
    port.postMessage([['authenticate', { tokenDigest }]]);
    expect(await nextMessage(port)).toEqual({
      tokenChanges: { added: [[hostId, expect.any(Uint8Array)]], removed: [] },
    });
    expect(await nextMessage(port)).toEqual({ outcomes: [{ answer: hostId }] });
  }
  client.close();
});

test('a command prints no log line, also about a data directory that others can list', async () => {
  const dataDir = temporaryDirectory();
  const engine = SqliteEngine.open(dataDir, { serves: false, onForgottenJobs: () => {} });
  engine.addHost(ulidOf(1), 'web', Buffer.from('digest'));
  engine.close();
  chmodSync(dataDir, 0o755);
  expect(await cli(['hosts', 'list'], { RM_DATA_DIR: dataDir })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('web'),
    stderr: '',
  });
});
