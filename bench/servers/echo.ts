import type { TemplatedApp } from '../../src/platform/uws.ts';

/** The simplest WebSocket server: it echoes each message. */
export function mountEcho(app: TemplatedApp): void {
  app.ws('/ws/agent', {
    idleTimeout: 0,
    sendPingsAutomatically: false,
    message: (socket, message, isBinary) => void socket.send(message, isBinary),
  });
}
