import type { ListenAddress, Settings } from '../config/settings.ts';
import { RmError } from '../errors.ts';
import { type TemplatedApp, type us_listen_socket, uws } from '../platform/uws.ts';

/**
 * LIBUS_LISTEN_EXCLUSIVE_PORT, which uWS declares as a type only. By default it shares a port with whoever
 * else listens there, and each gets some of the connections.
 */
const EXCLUSIVE_PORT = 1;

export type Mount = (app: TemplatedApp) => void;

export function createApp(tls: Settings['tls']): TemplatedApp {
  return tls === undefined
    ? uws().App()
    : uws().SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
}

/**
 * Listens, and hands each accepted socket to an app. Without TLS that is the app that listens. With TLS it is an
 * app beside it, since an app keeps the certificate that it was made with: for a new certificate there is another
 * app, which gets the sockets from then on.
 */
export class Listener {
  /** Accepts; with TLS, or where loops in other threads serve, it serves nothing itself. */
  readonly #acceptor: TemplatedApp;
  readonly #mount: Mount | undefined;
  readonly #isTls: boolean;
  /** Those that serve or have served: their sockets stay when a newer one gets the next. */
  readonly #secureApps: TemplatedApp[] = [];
  #socket: us_listen_socket | undefined;

  /** @param mount puts the routes on an app; undefined if only loops in other threads serve */
  constructor(tls: Settings['tls'], mount: Mount | undefined) {
    // It hands over sockets before TLS begins, but only to apps of its own kind.
    this.#acceptor = createApp(tls);
    this.#mount = mount;
    this.#isTls = tls !== undefined;
    if (tls === undefined) mount?.(this.#acceptor);
    else this.renewCertificate(tls);
  }

  /** New connections get this certificate, established ones go on. */
  renewCertificate(tls: Settings['tls']): void {
    if (tls === undefined || !this.#isTls || this.#mount === undefined) return;
    const app = createApp(tls);
    this.#mount(app);
    this.#acceptor.addChildAppDescriptor(app.getDescriptor());
    const before = this.#secureApps.at(-1);
    if (before) this.#acceptor.removeChildAppDescriptor(before.getDescriptor());
    this.#secureApps.push(app);
  }

  /** From now on this app, of another thread, gets its share of the accepted sockets. */
  addLoop(descriptor: object): void {
    this.#acceptor.addChildAppDescriptor(descriptor);
  }

  removeLoop(descriptor: object): void {
    this.#acceptor.removeChildAppDescriptor(descriptor);
  }

  /**
   * @returns the URL with the real port
   * @throws RmError `listen_failed`
   */
  listen({ host, port }: ListenAddress): Promise<string> {
    const scheme = this.#isTls ? 'https' : 'http';
    const { us_socket_local_port } = uws();
    return new Promise((resolve, reject) => {
      this.#acceptor.listen(host, port, EXCLUSIVE_PORT, (socket) => {
        if (socket === false) {
          const message = `${host}:${port}: cannot listen; is the port taken, or not of this machine?`;
          return reject(new RmError('listen_failed', message));
        }
        this.#socket = socket;
        const shown = host.includes(':') ? `[${host}]` : host;
        resolve(`${scheme}://${shown}:${us_socket_local_port(socket)}`);
      });
    });
  }

  /** Accepts no more sockets; those that there are stay. */
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
