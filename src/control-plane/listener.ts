import type { ListenAddress, Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import { type TemplatedApp, uws } from '../platform/uws.ts';

/**
 * LIBUS_LISTEN_EXCLUSIVE_PORT, which uWS declares as a type only. By default it shares a port with whoever
 * else listens there, and each gets some of the connections.
 */
const EXCLUSIVE_PORT = 1;

export function createApp(tls: Settings['tls']): TemplatedApp {
  return tls === undefined
    ? uws().App()
    : uws().SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
}

/** A uWS app that listens. */
export class Listener {
  readonly app: TemplatedApp;
  readonly #tls: Settings['tls'];

  constructor(tls: Settings['tls']) {
    this.app = createApp(tls);
    this.#tls = tls;
  }

  /**
   * @returns the URL with the real port
   * @throws RmError `listen_failed`
   */
  listen({ host, port }: ListenAddress): Promise<string> {
    const { us_socket_local_port } = uws();
    return new Promise((resolve, reject) => {
      this.app.listen(host, port, EXCLUSIVE_PORT, (socket) => {
        if (socket === false) {
          const message = `${host}:${port}: cannot listen; is the port taken, or not of this machine?`;
          return reject(new RmError('listen_failed', message));
        }
        const scheme = this.#tls === undefined ? 'http' : 'https';
        const shown = host.includes(':') ? `[${host}]` : host;
        resolve(`${scheme}://${shown}:${us_socket_local_port(socket)}`);
      });
    });
  }

  /** Closes the listening socket and every connection. */
  close(): void {
    this.app.close();
  }
}
