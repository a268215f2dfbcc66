import { connect } from 'node:net';
import { finish } from '../ingest/load.ts';
import type { ServerProcess } from '../support/server-process.ts';

const ACK = '[{"type":"ack"';

/**
 * Hosts that report by HTTP: each request has one finished job and a connection of its own, as curl
 * makes it.
 */
export class HttpLoad {
  readonly #server: ServerProcess;
  readonly #clients: number;

  constructor(server: ServerProcess, clients: number) {
    this.#server = server;
    this.#clients = clients;
  }

  /** Each client reports again and again for `ms` milliseconds, and once at least. */
  async run(ms: number): Promise<{ jobsPerSecond: number; acknowledgedMs: number[] }> {
    const acknowledgedMs: number[] = [];
    const startedAt = performance.now();
    const client = async (number: number) => {
      do {
        const sentAt = performance.now();
        await this.#report(number);
        acknowledgedMs.push(performance.now() - sentAt);
      } while (performance.now() - startedAt < ms);
    };
    await Promise.all(Array.from({ length: this.#clients }, (_, number) => client(number)));
    const seconds = (performance.now() - startedAt) / 1000;
    return { jobsPerSecond: acknowledgedMs.length / seconds, acknowledgedMs };
  }

  #report(client: number): Promise<void> {
    const { port, tokens } = this.#server;
    const body = `[${finish()}]`;
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      let answer = '';
      socket.write(
        `POST /agent/messages HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${tokens[client] ?? 'none'}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      socket.setEncoding('latin1');
      socket.on('data', (text) => {
        answer += text;
      });
      socket.on('error', reject);
      socket.on('close', () => {
        if (answer.includes(ACK)) resolve();
        else reject(new Error(`instead of an acknowledgement: ${answer}`));
      });
    });
  }
}
