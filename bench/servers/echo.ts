import type { TemplatedApp } from '../../src/platform/uws.ts';

/** Agents' sockets of the simplest kind: each message comes back. */
export function mountEcho(app: TemplatedApp): void {
  app.ws('/ws/agent', {
    idleTimeout: 0,
    sendPingsAutomatically: false,
    message: (socket, message, isBinary) => void socket.send(message, isBinary),
  });
}
