import type { WebSocket } from '../platform/uws.ts';
import { CLOSE, errorMessage, type ProtocolError } from './protocol.ts';

/** Bad messages that a connection is forgiven within a minute. */
const BAD_MESSAGES_A_MINUTE = 20;
const MINUTE_MS = 60_000;

/**
 * - `strange`: no hello yet
 * - `greeted`: its hello was good, so its messages count
 * - `closed`: using the socket would throw
 */
type State = 'strange' | 'greeted' | 'closed';

/** uWS copies the properties of what it is given to the socket, so the connection is one of them. */
export interface SocketData {
  readonly connection: AgentConnection;
}

/** An agent's socket and what is remembered of it. */
export class AgentConnection {
  readonly number: number;
  readonly hostId: string;
  readonly openedAt = performance.now();
  lastMessageAt = this.openedAt;
  #state: State = 'strange';
  #socket: WebSocket<SocketData> | undefined;
  #outbox: string[] = [];
  #badAt: number[] = [];

  constructor(number: number, hostId: string) {
    this.number = number;
    this.hostId = hostId;
  }

  get state(): State {
    return this.#state;
  }

  open(socket: WebSocket<SocketData>): void {
    this.#socket = socket;
  }

  greet(): void {
    if (this.#state === 'strange') this.#state = 'greeted';
  }

  /** To be called by the socket's close handler; @returns whether the host had been greeted */
  left(): boolean {
    const greeted = this.#state === 'greeted';
    this.#state = 'closed';
    this.#socket = undefined;
    return greeted;
  }

  /** Messages of one turn of the loop leave together, in one system call. */
  send(message: string): void {
    if (this.#outbox.length === 0) queueMicrotask(() => this.flush());
    this.#outbox.push(message);
  }

  sendError(error: ProtocolError): void {
    this.send(errorMessage(error));
  }

  flush(): void {
    const messages = this.#outbox;
    this.#outbox = [];
    const socket = this.#socket;
    if (socket === undefined || messages.length === 0) return;
    socket.cork(() => {
      for (const message of messages) {
        // A reader so slow that the limit closed its socket has no use for the rest.
        if (this.#socket === undefined) return;
        socket.send(message);
      }
    });
  }

  end(code: number, reason: string): void {
    this.flush();
    this.#socket?.end(code, reason);
  }

  /** Notes a message that could not be understood; too many of them end the connection. */
  countBad(): void {
    const now = performance.now();
    this.#badAt = this.#badAt.filter((at) => now - at < MINUTE_MS);
    this.#badAt.push(now);
    if (this.#badAt.length > BAD_MESSAGES_A_MINUTE) {
      this.end(CLOSE.tooManyBadMessages, 'too many bad messages');
    }
  }
}
