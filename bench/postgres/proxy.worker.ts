import { connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

export interface ProxyData {
  /** The port of the server. */
  readonly target: number;
  /** The bytes that were forwarded, in its first element. */
  readonly bytes: BigInt64Array;
}

const { target, bytes }: ProxyData = workerData;

function forward(from: Socket, to: Socket): void {
  from.setNoDelay();
  from.on('data', (data) => {
    Atomics.add(bytes, 0, BigInt(data.length));
    to.write(data);
  });
  from.on('close', () => to.destroy());
  from.on('error', () => to.destroy());
}

const server = createServer((client) => {
  const upstream = connect(target, '127.0.0.1');
  forward(client, upstream);
  forward(upstream, client);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  parentPort?.postMessage(typeof address === 'object' ? address?.port : undefined);
});
