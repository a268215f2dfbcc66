import { type TemplatedApp, uws } from '../../src/platform/uws.ts';

/**
 * Listens on a free port of the loopback interface.
 * @returns the port
 */
export function listen(app: TemplatedApp): Promise<number> {
  return new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket === false) reject(new Error('cannot listen on 127.0.0.1'));
      else resolve(uws().us_socket_local_port(socket));
    });
  });
}
