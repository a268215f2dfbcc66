import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export type Encoding = 'identity' | 'gzip';

const READ_BYTES = 256 * 1024;
const HEAD_END = '\r\n\r\n';

/**
 * A keep-alive connection that requests `/metrics` and reads each body to its end. It uses no HTTP
 * library: with bodies of a few kilobytes, and with bodies of many megabytes, most of the measured
 * time would be that of the library.
 */
export class Scraper {
  readonly #port: number;
  readonly #request: string;
  #socket: Socket | undefined;
  #received: (chunk: Buffer) => void = () => {};
  #failed: (error: Error) => void = () => {};

  private constructor(port: number, encoding: Encoding) {
    this.#port = port;
    this.#request = `GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept-Encoding: ${encoding}\r\n\r\n`;
  }

  static async open(port: number, encoding: Encoding): Promise<Scraper> {
    const scraper = new Scraper(port, encoding);
    await scraper.connected();
    return scraper;
  }

  /** Connects again if needed, because servers close connections that are idle for some seconds. */
  async connected(): Promise<void> {
    if (this.#socket !== undefined) return;
    const socket = connect({
      host: '127.0.0.1',
      port: this.#port,
      noDelay: true,
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (length, buffer) => {
          this.#received(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    await once(socket, 'connect');
    this.#socket = socket;
    const gone = (error: Error) => {
      this.#socket = undefined;
      this.#failed(error);
    };
    socket.on('error', gone);
    socket.on('close', () => gone(new Error('the server closed the connection')));
  }

  /**
   * Scrapes once and discards the body.
   * @returns its length in bytes, as sent
   */
  scrape(): Promise<number> {
    return this.#get(() => {});
  }

  async body(): Promise<Buffer> {
    const parts: Buffer[] = [];
    // The read buffer is reused, so the chunk must be copied.
    await this.#get((part) => parts.push(Buffer.from(part)));
    return Buffer.concat(parts);
  }

  close(): void {
    this.#failed = () => {};
    this.#socket?.destroy();
  }

  #get(take: (part: Buffer) => void): Promise<number> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      this.#failed = reject;
      const response = new Response(take);
      this.#received = (chunk) => {
        try {
          if (response.receive(chunk)) resolve(response.length);
        } catch (error) {
          reject(error);
        }
      };
      socket.write(this.#request);
    });
  }
}

/** The part of a response that has arrived so far. */
class Response {
  length = 0;
  readonly #take: (part: Buffer) => void;
  #head = '';
  #state: 'head' | 'body' | 'chunk size' | 'chunk' = 'head';
  #left = 0;
  #sizeLine = '';
  #last = false;

  constructor(take: (part: Buffer) => void) {
    this.#take = take;
  }

  /** @returns whether the response is complete */
  receive(chunk: Buffer): boolean {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#state === 'head') rest = this.#readHead(rest);
      else if (this.#state === 'chunk size') rest = this.#readSize(rest);
      else rest = this.#readBody(rest);
      if (this.#state === 'body' && this.#left === 0) return true;
    }
    return false;
  }

  #readHead(bytes: Buffer): Buffer {
    const before = this.#head.length;
    this.#head += bytes.toString('latin1');
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1) return bytes.subarray(bytes.length);
    const head = this.#head.slice(0, end);
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(head);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#state = length === undefined ? 'chunk size' : 'body';
    this.#left = Number(length ?? 0);
    return bytes.subarray(end + HEAD_END.length - before);
  }

  #readBody(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#left);
    this.#take(part);
    this.length += part.length;
    this.#left -= part.length;
    if (this.#left === 0 && this.#state === 'chunk') this.#state = 'chunk size';
    return bytes.subarray(part.length);
  }

  /**
   * Handles one line: the end of the previous chunk, the size of the next, or the empty line after
   * the size 0.
   */
  #readSize(bytes: Buffer): Buffer {
    const end = bytes.indexOf('\n');
    if (end === -1) {
      this.#sizeLine += bytes.toString('latin1');
      return bytes.subarray(bytes.length);
    }
    const line = (this.#sizeLine + bytes.toString('latin1', 0, end)).trim();
    this.#sizeLine = '';
    if (line === '') {
      if (this.#last) this.#state = 'body';
    } else {
      this.#left = Number.parseInt(line, 16);
      if (this.#left === 0) this.#last = true;
      else this.#state = 'chunk';
    }
    return bytes.subarray(end + 1);
  }
}
