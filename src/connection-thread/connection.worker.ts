import { type MessagePort, workerData } from 'node:worker_threads';
import { type ConnectionMessage, type ConnectionRequest, Signal } from '../contract/statements.ts';
import { Connection } from './connection.ts';

/** The `workerData` of the connection thread. */
export interface ConnectionThreadData {
  /** A connection URL for each server, to be tried in this order. */
  readonly addresses: readonly string[];
  readonly port: MessagePort;
  /** Shared with the store thread; see `Signal`. */
  readonly signal: Int32Array;
}

const { addresses, port, signal }: ConnectionThreadData = workerData;

const connection = new Connection(addresses, {
  onConnected: (number) => setConnection(number),
  onDisconnected: () => setConnection(0),
  onUnreachable: (unreachable) => send({ unreachable }),
});

port.on('message', async (request: ConnectionRequest) => {
  if ('close' in request) {
    await connection.close();
    send({ closed: true });
    port.close();
  } else if ('abort' in request) {
    connection.abort(request.abort);
  } else {
    const answer = await connection.run(request.connection, request.statements);
    send({ run: request.run, ...answer });
  }
});
connection.open();

function send(message: ConnectionMessage): void {
  port.postMessage(message);
  Atomics.add(signal, Signal.messages, 1);
  Atomics.notify(signal, Signal.messages);
}

function setConnection(number: number): void {
  Atomics.store(signal, Signal.connection, number);
  Atomics.notify(signal, Signal.connection);
}
