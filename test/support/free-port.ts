import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range of ports for outgoing connections on Linux, one of which could take the port
 * before it is used.
 */
const RANGE = [15_000, 32_000] as const;

/**
 * Returns a port that was free a moment ago. For servers that do not report their port, or that
 * must return to it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(...RANGE);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
