import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/*
 * The WebSocket of an agent, with a minimal client so that the server is measured and not the
 * client. It supports only unfragmented text frames of up to 64 KiB. It masks with zeros, which the
 * protocol allows.
 */
const TEXT = 0x81;
const CLOSE = 0x88;
const MASKED = 0x80;
const HELLO = JSON.stringify({
  type: 'hello',
  payload: { protocol_version: 1, agent_version: '0.1.0', hostname: 'bench', os: 'linux' },
});

export class AgentSocket {
  /** Called with each message of the server after the first. */
  onMessage: (text: string) => void = () => {};
  /** Called when the server closes the socket. */
  onClose: () => void = () => {
    throw new Error('the server closed the socket of an agent');
  };
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!this.#closed) this.onClose();
    });
  }

  /** @throws Error if the server cannot be reached, or refuses the connection */
  static async open(port: number, token = 'none'): Promise<AgentSocket> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    socket.write(
      `GET /ws/agent HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    const refused = once(socket, 'close').then(() => {
      throw new Error('the server closed the connection without an answer');
    });
    const [head] = (await Promise.race([once(socket, 'data'), refused])) as [Buffer];
    refused.catch(() => {});
    if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
      socket.destroy();
      throw new Error(head.toString());
    }
    const agent = new AgentSocket(socket);
    socket.on('data', (bytes) => agent.#receive(bytes));
    return agent;
  }

  /** Sends a hello and waits for the answer. */
  greet(): Promise<void> {
    return new Promise((resolve) => {
      this.onMessage = () => resolve();
      this.send(HELLO);
    });
  }

  send(text: string): void {
    const length = Buffer.byteLength(text);
    const short = length < 126;
    const frame = Buffer.allocUnsafe(length + (short ? 6 : 8));
    frame[0] = TEXT;
    frame[1] = MASKED | (short ? length : 126);
    if (!short) frame.writeUInt16BE(length, 2);
    const maskAt = short ? 2 : 4;
    frame.writeUInt32BE(0, maskAt);
    frame.write(text, maskAt + 4);
    this.#socket.write(frame);
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    // Messages that are sent in response are written in one system call.
    this.#socket.cork();
    for (;;) {
      const [opcode, short] = [rest[0], rest[1]];
      if (opcode === undefined || short === undefined) break;
      const head = short < 126 ? 2 : 4;
      if (rest.length < head) break;
      const length = short < 126 ? short : rest.readUInt16BE(2);
      if (rest.length < head + length) break;
      if (opcode === CLOSE) return void this.#socket.destroy();
      if (opcode !== TEXT) throw new Error(`a frame of kind ${opcode} from the server`);
      this.onMessage(rest.toString('utf8', head, head + length));
      rest = rest.subarray(head + length);
    }
    this.#socket.uncork();
    this.#rest = rest;
  }
}
