import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { ConnectionThreadData } from '../../connection-thread/connection.worker.ts';
import {
  type ConnectionMessage,
  type ConnectionRequest,
  Signal,
  type Statement,
  type StatementError,
  type StatementResult,
} from '../../contract/statements.ts';
import { workerFile } from '../../platform/worker-file.ts';

/** How long the connection thread may take to close the connection. */
const CLOSE_LIMIT_MS = 1_000;

export interface BridgeAnswer {
  /** The results of the statements that succeeded. */
  readonly results: readonly StatementResult[];
  readonly error: StatementError | undefined;
  /** The server's message that a synchronous standby may not have the commit among the statements. */
  readonly unreplicated: string | undefined;
}

/**
 * Runs statements on PostgreSQL and blocks until their results arrive. The driver is asynchronous, so it
 * runs in its own thread, the connection thread. As with SQLite, the store thread has no other work while
 * it waits.
 */
export class Bridge {
  readonly #signal = new Int32Array(
    new SharedArrayBuffer(Signal.length * Int32Array.BYTES_PER_ELEMENT),
  );
  readonly #port;
  #runs = 0;
  #unreachable = 'no connection yet';

  constructor(addresses: readonly string[]) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: ConnectionThreadData = { addresses, port: port2, signal: this.#signal };
    const worker = new Worker(workerFile('../../connection-thread/connection', import.meta.url), {
      workerData,
      transferList: [port2],
    });
    // This thread must not keep the store thread alive.
    worker.unref();
    this.#port.unref();
  }

  /** Number of the current connection, counted from 1; 0 while there is none. */
  get connection(): number {
    return Atomics.load(this.#signal, Signal.connection);
  }

  /** Why there is no connection. */
  get unreachable(): string {
    for (;;) {
      const message = this.#next();
      if (message === undefined) return this.#unreachable;
    }
  }

  /**
   * Waits until there is a connection.
   * @returns whether there is one
   */
  waitForConnection(limitMs: number): boolean {
    Atomics.wait(this.#signal, Signal.connection, 0, limitMs);
    return this.connection !== 0;
  }

  /**
   * Runs statements on the connection with this number. If their results do not arrive in time, it closes
   * the connection. Never throws.
   */
  run(connection: number, statements: readonly Statement[], limitMs: number): BridgeAnswer {
    const run = ++this.#runs;
    this.#post({ run, connection, statements });
    const endAt = performance.now() + limitMs;
    for (let inTime = true; ; ) {
      const messages = Atomics.load(this.#signal, Signal.messages);
      for (;;) {
        const message = this.#next();
        if (message === undefined) break;
        if ('run' in message && message.run === run) return message;
      }
      if (!inTime) {
        this.#post({ abort: connection });
        const message = `no answer from the database within ${Math.round(limitMs)} ms`;
        return { results: [], error: { message, state: undefined }, unreplicated: undefined };
      }
      const leftMs = Math.max(endAt - performance.now(), 0);
      inTime = Atomics.wait(this.#signal, Signal.messages, messages, leftMs) !== 'timed-out';
    }
  }

  /** Closes the connection with this number, for example because its transaction cannot be rolled back. */
  abort(connection: number): void {
    this.#post({ abort: connection });
  }

  close(): void {
    const messages = Atomics.load(this.#signal, Signal.messages);
    this.#post({ close: true });
    Atomics.wait(this.#signal, Signal.messages, messages, CLOSE_LIMIT_MS);
    this.#port.close();
  }

  #post(request: ConnectionRequest): void {
    this.#port.postMessage(request);
  }

  /** Takes the next message. If it says that no server can be reached, keeps the reason. */
  #next(): ConnectionMessage | undefined {
    const received: { message: ConnectionMessage } | undefined = receiveMessageOnPort(this.#port);
    if (received === undefined) return undefined;
    if ('unreachable' in received.message) this.#unreachable = received.message.unreachable;
    return received.message;
  }
}
