import { uws } from '../../src/platform/uws.ts';
import { listen } from './listen.ts';
import type { Served } from './protocol.ts';

const ID = '"id":"';

/** Acknowledges each message and does nothing else. */
export async function serve(): Promise<Served> {
  const app = uws().App();
  app.ws('/ws/agent', {
    idleTimeout: 0,
    sendPingsAutomatically: false,
    message: (socket, message) => {
      const text = Buffer.from(message).toString();
      const start = text.indexOf(ID);
      if (start === -1) return void socket.send('{"type":"welcome"}');
      const id = text.slice(start + ID.length, text.indexOf('"', start + ID.length));
      socket.send(`{"type":"ack","payload":{"id":"${id}"}}`);
    },
  });
  // The messages of a request are not read. A connection is closed after its answer, as ours is.
  app.post('/agent/messages', (res) => {
    res.onAborted(() => {});
    res.onData((_, isLast) => {
      if (isLast) res.cork(() => res.end('[{"type":"ack","payload":{}}]', true));
    });
  });
  return { port: await listen(app) };
}
