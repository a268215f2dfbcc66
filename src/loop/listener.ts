import { createServer } from 'node:net';
import type { ListenAddress, Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import { type TemplatedApp, type us_listen_socket, uws } from '../platform/uws.ts';

/**
 * LIBUS_LISTEN_EXCLUSIVE_PORT, which uWS declares only as a type. Without it uWS shares the port with
 * other processes that listen on it, and each process gets some of the connections.
 */
const EXCLUSIVE_PORT = 1;

export type Mount = (app: TemplatedApp) => void;

export function createApp(tls: Settings['tls']): TemplatedApp {
  return tls === undefined
    ? uws().App()
    : uws().SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
}

/**
 * Listens, and gives each accepted socket to an app. Without TLS the listening app itself serves. With
 * TLS a second app serves, because an app cannot change its certificate. For a new certificate a further
 * app is created, and it gets the sockets from then on.
 */
export class Listener {
  /** The app that listens. It serves nothing itself with TLS, or if loops in other threads serve. */
  readonly #acceptor: TemplatedApp;
  readonly #mount: Mount | undefined;
  readonly #isTls: boolean;
  /** The apps that serve with TLS. The last one gets new sockets. The sockets of earlier ones stay open. */
  readonly #secureApps: TemplatedApp[] = [];
  #socket: us_listen_socket | undefined;

  /** @param mount adds the routes to an app; undefined if only loops in other threads serve */
  constructor(tls: Settings['tls'], mount: Mount | undefined) {
    // The acceptor passes sockets on before the TLS handshake, but only to apps of its own kind.
    this.#acceptor = createApp(tls);
    this.#mount = mount;
    this.#isTls = tls !== undefined;
    if (tls === undefined) mount?.(this.#acceptor);
    else this.renewCertificate(tls);
  }

  /** Uses the certificate for new connections. Existing connections continue. */
  renewCertificate(tls: Settings['tls']): void {
    if (tls === undefined || !this.#isTls || this.#mount === undefined) return;
    const app = createApp(tls);
    this.#mount(app);
    this.#acceptor.addChildAppDescriptor(app.getDescriptor());
    const previous = this.#secureApps.at(-1);
    if (previous) this.#acceptor.removeChildAppDescriptor(previous.getDescriptor());
    this.#secureApps.push(app);
  }

  /** From now on gives an app in another thread its share of the accepted sockets. */
  addLoop(descriptor: object): void {
    this.#acceptor.addChildAppDescriptor(descriptor);
  }

  removeLoop(descriptor: object): void {
    this.#acceptor.removeChildAppDescriptor(descriptor);
  }

  /**
   * @returns the URL with the actual port
   * @throws RmError `listen_failed`
   */
  listen({ host, port }: ListenAddress): Promise<string> {
    const scheme = this.#isTls ? 'https' : 'http';
    const { us_socket_local_port } = uws();
    return new Promise((resolve, reject) => {
      this.#acceptor.listen(host, port, EXCLUSIVE_PORT, (socket) => {
        if (socket === false) {
          const fail = (why: string) =>
            reject(new RmError('listen_failed', `${host}:${port}: cannot listen; ${why}`));
          return void whyNotListening(host, port).then(fail);
        }
        this.#socket = socket;
        const shown = host.includes(':') ? `[${host}]` : host;
        resolve(`${scheme}://${shown}:${us_socket_local_port(socket)}`);
      });
    });
  }

  /** Stops accepting sockets. Existing ones stay open. */
  stopListening(): void {
    if (this.#socket === undefined) return;
    uws().us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Closes every connection. */
  close(): void {
    this.stopListening();
    for (const app of this.#secureApps) {
      this.#acceptor.removeChildAppDescriptor(app.getDescriptor());
      app.close();
    }
    this.#acceptor.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES:
    'this user is not permitted to use the port; use port 1024 or higher, or let systemd grant CAP_NET_BIND_SERVICE',
  EADDRINUSE: 'another program uses the port; stop it, or set another address',
  EADDRNOTAVAIL: 'this machine does not have the address',
  ENOTFOUND: 'the host name was not found',
};

/** uWebSockets.js does not report why it cannot listen, so this function tries it with Node's own server. */
function whyNotListening(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', (error: NodeJS.ErrnoException) =>
      resolve(REASONS[error.code ?? ''] ?? error.message),
    );
    probe.listen({ host, port, exclusive: true }, () =>
      probe.close(() => resolve('the reason is unknown; try again')),
    );
  });
}
