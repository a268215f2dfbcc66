import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { AgentClient } from '../../src/demo/agent-client.ts';

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A control plane whose every word is the test's. */
async function startServer() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { server, url: `ws://127.0.0.1:${port}/ws/agent` };
}

async function nextConnection(server: WebSocketServer) {
  const [socket, request] = (await once(server, 'connection')) as [
    WebSocket,
    { headers: Record<string, string> },
  ];
  const messages: Message[] = [];
  const wake = new Set<() => void>();
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)));
    for (const resolve of wake) resolve();
  });
  const receive = async (): Promise<Message> => {
    for (;;) {
      const message = messages.shift();
      if (message) return message;
      await new Promise<void>((resolve) => wake.add(resolve));
    }
  };
  const send = (type: string, payload: object) => socket.send(JSON.stringify({ type, payload }));
  return { socket, receive, send, authorization: request.headers.authorization };
}

function clientOf(url: string) {
  const presence: boolean[] = [];
  const client = new AgentClient({
    url,
    token: 'secret',
    hello: { protocol_version: 1 },
    onPresence: (connected) => presence.push(connected),
  });
  onTestFinished(() => client.disconnect());
  return { client, presence };
}

const WELCOME = { host_id: 'H', host: 'h', heartbeat_seconds: 30 };

test('what was not acknowledged is sent again, in order, to whoever welcomes it next', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  let connecting = nextConnection(server);
  client.connect();
  const reports = ['a', 'b', 'c'].map((name) => client.report('job.started', { name }));

  const first = await connecting;
  expect(first.authorization).toBe('Bearer secret');
  expect(await first.receive()).toEqual({ type: 'hello', payload: { protocol_version: 1 } });
  first.send('welcome', WELCOME);
  const sent = [await first.receive(), await first.receive(), await first.receive()];
  expect(sent.map(({ payload }) => payload.name)).toEqual(['a', 'b', 'c']);
  first.send('ack', { id: sent[1]?.id });
  await reports[1];
  connecting = nextConnection(server);
  first.socket.terminate();

  const second = await connecting;
  expect((await second.receive()).type).toBe('hello');
  second.send('welcome', WELCOME);
  const again = [await second.receive(), await second.receive()];
  expect(again).toEqual([sent[0], sent[2]]);
  for (const { id } of again) second.send('ack', { id });
  await Promise.all(reports);
  expect(presence).toEqual([true, false, true]);
});

test('nothing but a hello is sent before the welcome', async () => {
  const { server, url } = await startServer();
  const { client } = clientOf(url);
  const connecting = nextConnection(server);
  client.connect();
  const { receive, send } = await connecting;
  expect((await receive()).type).toBe('hello');
  void client.report('repo.stats', { snapshot_count: 1 });
  send('welcome', { ...WELCOME, heartbeat_seconds: 0.01 });
  expect((await receive()).type).toBe('repo.stats');
  expect(await receive()).toMatchObject({ type: 'heartbeat' });
});

test('a connection that ends before its welcome gets no report and is not announced, also after one that was welcomed', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  let connecting = nextConnection(server);
  client.connect();
  const first = await connecting;
  await first.receive();
  first.send('welcome', WELCOME);
  connecting = nextConnection(server);
  const report = client.report('repo.stats', {});
  await first.receive();
  first.socket.terminate();

  const second = await connecting;
  expect((await second.receive()).type).toBe('hello');
  void client.report('repo.stats', { snapshot_count: 1 });
  connecting = nextConnection(server);
  const afterHello = second.receive();
  second.socket.close();

  const third = await connecting;
  expect((await third.receive()).type).toBe('hello');
  third.send('welcome', WELCOME);
  const { id } = await third.receive();
  expect((await third.receive()).payload).toEqual({ snapshot_count: 1 });
  third.send('ack', { id });
  await report;
  expect(presence).toEqual([true, false, true]);
  expect(await Promise.race([afterHello, 'nothing'])).toBe('nothing');
});

test('a heartbeat is sent as often as the server asks for it, in seconds', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const connecting = nextConnection(server);
  client.connect();
  const { receive, send } = await connecting;
  await receive();
  send('welcome', WELCOME);
  while (presence.at(-1) !== true) await setImmediate();
  vi.advanceTimersByTime(29_999);
  void client.report('repo.stats', {});
  expect((await receive()).type).toBe('repo.stats');
  vi.advanceTimersByTime(1);
  expect((await receive()).type).toBe('heartbeat');
});

test('the heartbeats of a connection end with it', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  let connecting = nextConnection(server);
  client.connect();
  const first = await connecting;
  first.send('welcome', WELCOME);
  while (presence.at(-1) !== true) await setImmediate();
  await client.disconnect();
  connecting = nextConnection(server);
  client.connect();
  const second = await connecting;
  expect((await second.receive()).type).toBe('hello');
  vi.advanceTimersByTime(60_000);
  second.send('welcome', WELCOME);
  void client.report('repo.stats', {});
  expect((await second.receive()).type).toBe('repo.stats');
});

test('an agent that was told to disconnect stays away until it is told to connect', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  let connecting = nextConnection(server);
  client.connect();
  const { receive, send } = await connecting;
  await receive();
  send('welcome', WELCOME);
  const report = client.report('repo.stats', {});
  await receive();
  await client.disconnect();
  expect(presence).toEqual([true, false]);
  connecting = nextConnection(server);
  client.connect();
  const back = await connecting;
  await back.receive();
  back.send('welcome', WELCOME);
  const { id } = await back.receive();
  back.send('ack', { id });
  await report;
});

test('an agent that was welcomed is back within a second, however often it was cut off', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let connecting = nextConnection(server);
  client.connect();
  for (let round = 0; round < 4; round++) {
    const { socket, receive, send } = await connecting;
    await receive();
    send('welcome', WELCOME);
    while (presence.at(-1) !== true) await setImmediate();
    connecting = nextConnection(server);
    socket.terminate();
    while (presence.at(-1) === true) await setImmediate();
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount(), `cut off ${round + 1} times`).toBe(0);
  }
  await connecting;
});

test('an agent that cannot connect tries again, at least every 30 seconds', async () => {
  const { server, url } = await startServer();
  await new Promise((resolve) => server.close(resolve));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { client, presence } = clientOf(url);
  client.connect();
  for (let tries = 1; tries <= 10; tries++) {
    while (vi.getTimerCount() === 0) await setImmediate();
    vi.advanceTimersByTime(tries === 1 ? 1_000 : 30_000);
    expect(vi.getTimerCount(), `after ${tries} tries`).toBe(0);
  }
  expect(presence, 'it was never connected').toEqual([]);
});

test('an agent has one connection, however often and how soon it is told to connect', async () => {
  const { server, url } = await startServer();
  const { client, presence } = clientOf(url);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let connections = 0;
  server.on('connection', () => connections++);
  let connecting = nextConnection(server);
  client.connect();
  client.connect();
  const first = await connecting;
  first.send('welcome', WELCOME);
  while (presence.at(-1) !== true) await setImmediate();
  await client.disconnect();
  connecting = nextConnection(server);
  client.connect();
  vi.advanceTimersByTime(1_000); // the pause after a connection that was cut off
  const second = await connecting;
  second.send('welcome', WELCOME);
  while (presence.at(-1) !== true) await setImmediate();
  expect(connections).toBe(2);
});

test('each report has an id of its own, and is acknowledged by it alone', async () => {
  const { server, url } = await startServer();
  const { client } = clientOf(url);
  const connecting = nextConnection(server);
  client.connect();
  const { receive, send } = await connecting;
  await receive();
  send('welcome', WELCOME);
  const done: number[] = [];
  const reports = [1, 2].map((n) => client.report('repo.stats', { n }).then(() => done.push(n)));
  const ids = [(await receive()).id, (await receive()).id];
  expect(new Set(ids).size).toBe(2);
  send('ack', { id: 'unknown' });
  send('ack', { id: ids[1] });
  await reports[1];
  expect(done).toEqual([2]);
  send('ack', { id: ids[0] });
  await reports[0];
});
