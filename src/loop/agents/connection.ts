import type { WebSocket } from '../../platform/uws.ts';
import { MAX_BAD_MESSAGES_PER_MINUTE, MAX_BYTES_PER_TURN, MAX_FRAMES_PER_TURN } from './limits.ts';
import { errorMessage, type ProtocolError } from './protocol.ts';

const MINUTE_MS = 60_000;

/**
 * - `ungreeted`: no hello yet
 * - `greeted`: its hello was good, so its messages count
 * - `closed`: using the socket would throw
 */
type State = 'ungreeted' | 'greeted' | 'closed';

/** uWS copies the properties of what it is given to the socket, so the connection is one of them. */
export interface SocketData {
  readonly connection: AgentConnection;
}

/** An agent's socket and what is remembered of it. There are many: what is seldom needed is made when it is. */
export class AgentConnection {
  readonly number: number;
  readonly hostId: string;
  /** The address that the agent connects from, for the log. */
  readonly address: string;
  /** The name of the host, once a hello was answered. */
  host: string | undefined;
  readonly openedAt = performance.now();
  lastMessageAt = this.openedAt;
  /** Whether the server ended it: then its socket stays open until the agent closes it, or for some seconds. */
  isEnded = false;
  /** Whether a hello was submitted to the store and is not answered yet. */
  isGreeting = false;
  /** Whether an answer was dropped because the agent does not read. */
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

  /** To be called by the socket's close handler; @returns whether the host had been greeted */
  left(): boolean {
    const greeted = this.#state === 'greeted';
    this.#state = 'closed';
    this.#socket = undefined;
    return greeted;
  }

  /** @returns false if the connection has had its share of this turn of the loop */
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

  /** Messages of one turn of the loop leave together, in one system call. */
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
        // A reader so slow that the limit closed its socket has no use for the rest.
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

  /** Notes a message that could not be understood; @returns whether it was one too many */
  countBad(): boolean {
    const now = performance.now();
    const recent = this.#badAt?.filter((at) => now - at < MINUTE_MS) ?? [];
    recent.push(now);
    this.#badAt = recent;
    return recent.length > MAX_BAD_MESSAGES_PER_MINUTE;
  }
}
