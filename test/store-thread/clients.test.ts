import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { Clients } from '../../src/store-thread/clients.ts';

function setUp() {
  const { port1, port2 } = new MessageChannel();
  const client = { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) };
  const clients = new Clients();
  clients.add(0, client, []);
  return { clients, client, port: port2 };
}

it('a loop that waits for the store goes on as soon as its operations are answered', async () => {
  const { clients, client } = setUp();
  const waiting = Atomics.waitAsync(client.progress, 0, 0);
  clients.settle(client, [{ answer: true }, { answer: null }]);
  expect(await waiting.value).toBe('ok');
  expect(client.progress[0], 'operations, not messages').toBe(2);
  clients.close();
});

it('the links to the loops end when the store is closed', async () => {
  const { clients, port } = setUp();
  port.start();
  const closed = once(port, 'close');
  clients.close();
  await closed;
});
