import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CONNECTIONS_PER_LOOP, type Operation, orderOf } from '../../../src/contract/operations.ts';
import { Store } from '../../../src/loop/doors/store.ts';
import { StoreClient } from '../../../src/loop/doors/store-client.ts';
import { inTime } from '../../support/in-time.ts';
import { eventually, temporaryDirectory } from '../../support/serve.ts';

/** Operations without an answer at which a loop is far ahead. */
const HIGH_WATER = 4_096;
/** Somebody wakes a loop that would sleep for ever, so that the test fails instead of hanging. */
const RESCUE_MS = 4_000;
/** On a busy machine anything may take 90 ms once, but not each time. */
const ATTEMPTS = 5;

/** A client whose store is this test. */
function connected() {
  const { port1: store, port2: port } = new MessageChannel();
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const nextConnection = new BigInt64Array(new SharedArrayBuffer(8));
  const client = new StoreClient({ loop: 0, port, progress, nextConnection });
  const rescuer = new Worker(
    `const { workerData } = require('node:worker_threads');
    setTimeout(() => Atomics.notify(workerData, 0), ${RESCUE_MS});`,
    { eval: true, workerData: progress },
  );
  onTestFinished(async () => {
    client.close();
    store.close();
    await rescuer.terminate();
  });
  return { client, store, progress };
}

/** Submits in one turn of the loop; @returns how long the loop stood still while it sent them */
async function stillFor(client: StoreClient, operations: number): Promise<number> {
  for (let n = 0; n < operations; n++) client.submit('areHostChangesApplied', null).catch(() => {});
  // After the promises of this turn, before what it sends.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const startedAt = performance.now();
  await new Promise((resolve) => setImmediate(resolve));
  return performance.now() - startedAt;
}

describe('a loop', () => {
  test('that is far ahead of a store that stands still waits, but no longer than a moment', async () => {
    const { client } = connected();
    const ms = await stillFor(client, HIGH_WATER + 1);
    expect(ms).toBeGreaterThan(90);
    expect(ms, 'was rescued').toBeLessThan(RESCUE_MS / 2);
  });

  test('waits also when the store has answered a lot before', async () => {
    const { client, progress } = connected();
    await stillFor(client, 1_000);
    Atomics.store(progress, 0, 1_000);
    expect(await stillFor(client, HIGH_WATER + 1)).toBeGreaterThan(90);
  });

  test('that is not so far ahead does not wait', async () => {
    const still: number[] = [];
    for (let n = 0; n < ATTEMPTS; n++) still.push(await stillFor(connected().client, HIGH_WATER));
    expect(Math.min(...still)).toBeLessThan(90);
  });

  test('does not wait for what was answered', async () => {
    const { client, progress } = connected();
    const still: number[] = [];
    for (let n = 0; n < ATTEMPTS; n++) {
      still.push(await stillFor(client, HIGH_WATER));
      Atomics.add(progress, 0, HIGH_WATER);
    }
    expect(Math.min(...still.slice(1))).toBeLessThan(90);
  });

  test('sends what it submits in one turn as one message, in its order', async () => {
    const { client, store } = connected();
    for (const host of ['a', 'b']) {
      client.submit('renameHost', { hostId: host, host }).catch(() => {});
    }
    await new Promise((resolve) => setImmediate(resolve));
    client.submit('listHosts', null).catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    const messages = [receiveMessageOnPort(store), receiveMessageOnPort(store)];
    expect(messages.map((one) => one?.message.map(([name]: Operation) => name))).toEqual([
      ['renameHost', 'renameHost'],
      ['listHosts'],
    ]);
  });
});

test('the store counts as many operations as it has answered, failed ones among them', async () => {
  const store = await Store.open({
    dataDir: temporaryDirectory(),
    missing: 'create',
    serving: undefined,
  });
  onTestFinished(() => store.close());
  const link = store.link();
  const client = new StoreClient(link);
  onTestFinished(() => client.close());
  let answered = 0;
  for (const count of [1, 10, 3_000]) {
    const answers = Array.from({ length: count }, () => client.submit('listHosts', null));
    const refused = client.submit('addHosts', { hosts: [''] });
    await expect(refused).rejects.toMatchObject({ code: 'invalid_host' });
    await Promise.all(answers);
    answered += count + 1;
    // The thread counts right after it has sent the answers.
    await eventually(() => expect(Atomics.load(link.progress, 0)).toBe(answered), 5_000);
  }
});

test('a store that is closed first answers what it was asked', async () => {
  const dataDir = temporaryDirectory();
  const open = () => Store.open({ dataDir, missing: 'create', serving: undefined });
  const store = await open();
  const added = store.connect().submit('addHosts', { hosts: ['web'] });
  await Promise.all([store.close(), store.close()]);
  expect(await added).toHaveLength(1);
  const again = await open();
  onTestFinished(() => again.close());
  const client = again.connect();
  expect(await client.submit('listHosts', null)).toMatchObject([{ host: 'web' }]);
  await again.close();
  const late = inTime(client.submit('listHosts', null), 'it is neither answered nor refused');
  await expect(late).rejects.toMatchObject({ code: 'closed' });
});

test('the connections of all loops are numbered in one sequence', async () => {
  const store = await Store.open({
    dataDir: temporaryDirectory(),
    missing: 'create',
    serving: undefined,
  });
  onTestFinished(() => store.close());
  const [first, second] = [store.link(), store.link()].map((link) => {
    // As when it is sent to another thread.
    const client = new StoreClient(structuredClone(link, { transfer: [link.port] }));
    onTestFinished(() => client.close());
    return client;
  });
  const numbers = [first, second, second, first, first].map(
    (client) => client?.numberConnection() ?? Number.NaN,
  );
  expect(numbers.map((number) => Math.floor(number / CONNECTIONS_PER_LOOP))).toEqual([
    0, 1, 1, 0, 0,
  ]);
  expect(numbers.map(orderOf)).toEqual([0, 1, 2, 3, 4]);
});

describe('when it is closed', () => {
  test('all that is not answered is refused, and so is what comes later', async () => {
    const { client } = connected();
    const waiting = client.submit('listHosts', null);
    client.close();
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
    await expect(client.submit('listHosts', null)).rejects.toMatchObject({ code: 'closed' });
  });
});
