import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request as plain } from 'node:http';
import { request as tls } from 'node:https';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The bytes as received, so still compressed if the body was. */
  readonly body: Buffer;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
}

/** Sends one request on a new connection, with no headers but `Host` and the given ones. */
export function ask(url: string, { method = 'GET', headers = {} }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? tls : plain;
    // Test certificates are self-signed.
    const options = { method, headers, agent: false, rejectUnauthorized: false };
    const sent = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, body: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** A TCP connection that sends exactly what it is told and keeps every byte it receives. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #closed = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake();
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
    socket.on('error', () => {});
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port) });
    onTestFinished(() => void socket.destroy());
    const connection = new RawConnection(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return connection;
  }

  get receivedBytes(): number {
    return this.#bytes;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('latin1');
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Sends `METHOD TARGET` and header lines as text, followed by the empty line. */
  send(method: string, target: string, headers: readonly string[] = [], body = ''): void {
    const lines = [`${method} ${target} HTTP/1.1`, 'Host: test', ...headers];
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }

  /** Closes the connection as a process that dies: without any word. */
  end(): void {
    this.#socket.end();
  }

  sendRaw(data: string | Buffer): void {
    this.#socket.write(data);
  }

  /**
   * Waits until `enough` returns true for what was received.
   * @throws Error if the connection is closed before
   */
  async until(enough: (connection: RawConnection) => boolean): Promise<void> {
    while (!enough(this)) {
      if (this.#closed) throw new Error(`closed after ${JSON.stringify(this.text.slice(0, 500))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Stops reading, like a client that hangs. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resets the connection. */
  vanish(): void {
    this.#socket.resetAndDestroy();
  }
}
