import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Listener } from '../../src/loop/listener.ts';
import type { TemplatedApp } from '../../src/platform/uws.ts';
import { createCertificate } from '../support/certificate.ts';
import { needs } from '../support/programs.ts';
import { temporaryDirectory } from '../support/serve.ts';

const LOCAL = { host: '127.0.0.1', port: 0 };

function mount(app: TemplatedApp): void {
  app.get('/', (res) => void res.end('here'));
}

/** Sends a request, and keeps the connection open after the answer. */
async function use(socket: Socket): Promise<Socket> {
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

/** Waits for what a listener in this thread has just closed. If it had not, its timeout would do so after some seconds. */
async function expectClosed(...sockets: readonly Socket[]): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) await setImmediate();
  expect(sockets.map(({ closed }) => closed)).toEqual(sockets.map(() => true));
}

describe('a listener that is closed', () => {
  test('accepts nothing more, closes its connections, and can be closed again', async () => {
    const listener = new Listener(undefined, mount);
    const { port } = new URL(await listener.listen(LOCAL));
    const socket = await use(connect(Number(port), LOCAL.host));
    listener.stopListening();
    const refused = connect(Number(port), LOCAL.host);
    expect(await once(refused, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    listener.stopListening();
    listener.close();
    await expectClosed(socket);
    listener.stopListening();
  });

  needs('openssl').test('closes also connections with an earlier certificate', async () => {
    const { cert, key } = createCertificate(temporaryDirectory());
    const tls = { certFile: cert, keyFile: key };
    const listener = new Listener(tls, mount);
    const { port } = new URL(await listener.listen(LOCAL));
    const connectHere = () =>
      use(connectTls({ port: Number(port), host: LOCAL.host, rejectUnauthorized: false }));
    const first = await connectHere();
    const renewed = createCertificate(temporaryDirectory());
    writeFileSync(cert, renewed.certPem);
    writeFileSync(key, renewed.keyPem);
    listener.renewCertificate(tls);
    const second = await connectHere();
    listener.close();
    await expectClosed(first, second);
  });
});

describe('a listener that cannot listen says why', () => {
  test.each([
    ['192.0.2.1', 0, 'this machine does not have the address'],
    ['no such host', 0, 'the host name was not found'],
  ])('on %s:%i', async (host, port, why) => {
    const listener = new Listener(undefined, mount);
    onTestFinished(() => listener.close());
    await expect(listener.listen({ host, port })).rejects.toMatchObject({
      code: 'listen_failed',
      message: `${host}:${port}: cannot listen; ${why}`,
    });
  });

  test('and can listen elsewhere afterwards', async () => {
    const taken = createServer().listen(0, LOCAL.host);
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const listener = new Listener(undefined, mount);
    onTestFinished(() => listener.close());
    await expect(listener.listen({ ...LOCAL, port })).rejects.toMatchObject({
      message: expect.stringMatching(/cannot listen; another program uses the port/),
    });
    const url = new URL(await listener.listen(LOCAL));
    await use(connect(Number(url.port), LOCAL.host));
  });
});
