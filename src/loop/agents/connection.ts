import type { WebSocket } from '../../platform/uws.ts';
import { MAX_BAD_MESSAGES_PER_MINUTE, MAX_BYTES_PER_TURN, MAX_FRAMES_PER_TURN } from './limits.ts';
import { errorMessage } from './protocol.ts';
import type { ProtocolError } from './protocol-error.ts';

const MINUTE_MS = 60_000;

/**
 * - `ungreeted`: the agent has not sent a valid hello
 * - `greeted`: the agent has sent a valid hello, so its other messages are accepted
 * - `closed`: the socket is closed, and using it would throw
 */
type State = 'ungreeted' | 'greeted' | 'closed';

/** User data of a socket. uWS copies its properties, so the connection must be one of them. */
export interface SocketData {
  readonly connection: AgentConnection;
}

/**
 * The state of one agent's connection. There are tens of thousands, so rarely used fields are created
 * on demand.
 */
export class AgentConnection {
  readonly number: number;
  readonly hostId: string;
  /** Address from which the agent connects, for the log. */
  readonly address: string;
  /** Name of the host; undefined until the store has answered a hello. */
  host: string | undefined;
  readonly openedAt = performance.now();
  lastMessageAt = this.openedAt;
  /**
   * Whether the server ended the connection. Its socket stays open until the agent closes it, for some
   * seconds at most.
   */
  isEnded = false;
  /** Whether the store has not yet answered a hello of this connection. */
  isGreeting = false;
  /** Whether a message to the agent was dropped because the agent does not read. */
  hasUnread = false;
  #state: State = 'ungreeted';
  #socket: WebSocket<SocketData> | undefined;
  #outbox: string[] | undefined;
  #badAt: number[] | undefined;
  #turn = 0;
  #framesInTurn = 0;
  #bytesInTurn = 0;

  constructor(number: number, hostId: string, address: string) {
    this.number = number;
    this.hostId = hostId;
    this.address = address;
  }

  get state(): State {
    return this.#state;
  }

  get isGreeted(): boolean {
    return this.#state === 'greeted';
  }

  open(socket: WebSocket<SocketData>): void {
    this.#socket = socket;
  }

  greet(): void {
    if (this.#state === 'ungreeted') this.#state = 'greeted';
  }

  /**
   * To be called by the close handler of the socket.
   * @returns whether the connection was greeted
   */
  left(): boolean {
    const greeted = this.#state === 'greeted';
    this.#state = 'closed';
    this.#socket = undefined;
    return greeted;
  }

  /**
   * Counts a frame.
   * @returns false if the connection exceeds its limits for one turn of the loop
   */
  countFrame(turn: number, bytes: number): boolean {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#framesInTurn = 0;
      this.#bytesInTurn = 0;
    }
    this.#framesInTurn++;
    this.#bytesInTurn += bytes;
    return this.#framesInTurn <= MAX_FRAMES_PER_TURN && this.#bytesInTurn <= MAX_BYTES_PER_TURN;
  }

  /**
   * Queues a message. All messages that are queued in one turn of the loop are sent together, in one
   * system call.
   */
  send(message: string): void {
    if (this.#outbox === undefined) {
      this.#outbox = [];
      queueMicrotask(() => this.flush());
    }
    this.#outbox.push(message);
  }

  sendError(error: ProtocolError): void {
    this.send(errorMessage(error));
  }

  flush(): void {
    const messages = this.#outbox;
    this.#outbox = undefined;
    const socket = this.#socket;
    if (socket === undefined || messages === undefined) return;
    socket.cork(() => {
      for (const message of messages) {
        // A closed socket must not be used.
        if (this.#socket === undefined) return;
        socket.send(message);
      }
    });
  }

  end(code: number, reason: string): void {
    this.flush();
    this.isEnded = true;
    this.#socket?.end(code, reason);
  }

  /** Closes the socket without a close frame. */
  cutOff(): void {
    this.#socket?.close();
  }

  /**
   * Counts a bad message.
   * @returns whether the connection exceeds the limit per minute
   */
  countBad(): boolean {
    const now = performance.now();
    const recent = this.#badAt?.filter((at) => now - at < MINUTE_MS) ?? [];
    recent.push(now);
    this.#badAt = recent;
    return recent.length > MAX_BAD_MESSAGES_PER_MINUTE;
  }
}
