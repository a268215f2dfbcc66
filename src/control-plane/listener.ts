import { createServer } from 'node:net';
import type { ListenAddress, Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import { type TemplatedApp, uws } from '../platform/uws.ts';

/*
 * LIBUS_LISTEN_DEFAULT, which uWS declares as a type only, shares a port with whoever else listens there,
 * and each gets some of the connections. LIBUS_LISTEN_EXCLUSIVE_PORT does not, but it also leaves out
 * SO_REUSEADDR: for a minute after a stop, while closed connections linger in TIME_WAIT, a restart would
 * find its own port taken. So a port that somebody chose is tried by Node first, which shares no port and
 * minds no TIME_WAIT, and then taken by default; one that is free for sure is taken exclusively.
 */
const DEFAULT = 0;
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
  async listen({ host, port }: ListenAddress): Promise<string> {
    const { us_socket_local_port } = uws();
    if (port !== 0) await tryPort({ host, port });
    return new Promise((resolve, reject) => {
      this.app.listen(host, port, port === 0 ? EXCLUSIVE_PORT : DEFAULT, (socket) => {
        if (socket === false) return reject(cannotListen({ host, port }));
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

/** @throws RmError `listen_failed` if somebody else listens there, or nobody may */
function tryPort({ host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause) => reject(cannotListen({ host, port }, cause)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function cannotListen({ host, port }: ListenAddress, cause?: unknown): RmError {
  const message = `${host}:${port}: cannot listen; is the port taken, or not of this machine?`;
  return new RmError('listen_failed', message, { cause });
}
