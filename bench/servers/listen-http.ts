import { once } from 'node:events';
import type { Server } from 'node:http';

/**
 * Listens on a free port of the loopback interface.
 * @returns the port
 */
export async function listenHttp(server: Server): Promise<number> {
  // The connection must survive the pauses of the benches between two scrapes.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return address.port;
}
