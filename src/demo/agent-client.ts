import { WebSocket } from 'ws';
import { between } from './random.ts';

export interface AgentClientOptions {
  /** `ws://HOST:PORT/ws/agent` */
  readonly url: string;
  readonly token: string;
  readonly hello: Readonly<Record<string, unknown>>;
  /** Called with true when the server has welcomed the agent, and with false when that connection closes. */
  readonly onPresence: (connected: boolean) => void;
}

interface Report {
  readonly text: string;
  readonly acknowledged: () => void;
}

/** A message from the server. */
type ServerMessage =
  | { readonly type: 'welcome'; readonly payload: { readonly heartbeat_seconds: number } }
  | { readonly type: 'ack'; readonly payload: { readonly id: string } }
  | { readonly type: 'error'; readonly payload: unknown };

const HANDSHAKE_LIMIT_MS = 10_000;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * The agent side of protocol version 1. It keeps reports until the server acknowledges them, and
 * sends unacknowledged ones again, in order, after each welcome.
 */
export class AgentClient {
  readonly #options: AgentClientOptions;
  readonly #unacknowledged = new Map<string, Report>();
  #socket: WebSocket | undefined;
  #welcomed = false;
  #shouldConnect = false;
  #heartbeat: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #lastId = 0;

  constructor(options: AgentClientOptions) {
    this.#options = options;
  }

  connect(): void {
    this.#shouldConnect = true;
    if (this.#socket === undefined) this.#open();
  }

  /** Resolves when the socket is closed. */
  disconnect(): Promise<void> {
    this.#shouldConnect = false;
    const socket = this.#socket;
    if (socket === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      socket.once('close', () => resolve());
      socket.close(1000);
    });
  }

  /**
   * Resolves when the server has acknowledged the report, that is, has stored it. This may take
   * several connections.
   */
  report(type: string, payload: object): Promise<void> {
    return new Promise((resolve) => {
      const id = String(++this.#lastId);
      const text = JSON.stringify({ type, id, payload });
      this.#unacknowledged.set(id, { text, acknowledged: resolve });
      if (this.#welcomed) this.#socket?.send(text);
    });
  }

  #open(): void {
    const { url, token } = this.#options;
    const socket = new WebSocket(url, {
      headers: { Authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_LIMIT_MS,
    });
    this.#socket = socket;
    socket.on('open', () => this.#send('hello', this.#options.hello));
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))));
    socket.on('error', () => {}); // a close event follows
    socket.on('close', () => this.#onClose());
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        return this.#onWelcome(message.payload.heartbeat_seconds);
      case 'ack':
        this.#unacknowledged.get(message.payload.id)?.acknowledged();
        this.#unacknowledged.delete(message.payload.id);
        return;
      case 'error':
        // The demo sends only valid messages, so this is a bug in the demo or in the server.
        throw new Error(`the control plane refused a message: ${JSON.stringify(message.payload)}`);
    }
  }

  #onWelcome(heartbeatSeconds: number): void {
    this.#welcomed = true;
    this.#retryMs = RETRY_MS;
    this.#options.onPresence(true);
    this.#heartbeat = setInterval(
      () => this.#send('heartbeat', { sent_at: new Date().toISOString() }),
      heartbeatSeconds * 1_000,
    );
    for (const { text } of this.#unacknowledged.values()) this.#socket?.send(text);
  }

  #onClose(): void {
    this.#socket = undefined;
    clearInterval(this.#heartbeat);
    if (this.#welcomed) this.#options.onPresence(false);
    this.#welcomed = false;
    const pause = this.#retryMs * between(0.5, 1);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    setTimeout(() => {
      if (this.#shouldConnect && this.#socket === undefined) this.#open();
    }, pause);
  }

  #send(type: string, payload: object): void {
    this.#socket?.send(JSON.stringify({ type, payload }));
  }
}
