import { setTimeout } from 'node:timers/promises';
import { bearerToken, sha256 } from '../access/bearer.ts';
import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_socket_context_t,
} from '../platform/uws.ts';
import { CONNECTIONS_PER_LOOP, type Disconnect } from '../store/operations.ts';
import { AgentConnection, type SocketData } from './connection.ts';
import { handleFrame, type MessageContext, refuse } from './messages.ts';
import { CLOSE, MAX_MESSAGE_BYTES, ProtocolError } from './protocol.ts';

const PATH = '/ws/agent';
const HELLO_WITHIN_MS = 10_000;
const SILENCE_MS = 90_000;
const SWEEP_MS = 1_000;
const GOODBYE_AGAIN_MS = 5_000;
const CLOSE_GRACE_MS = 200;
/** Answers an agent may leave unread before its socket is closed. */
const MAX_UNREAD_BYTES = 1024 * 1024;

/** The WebSocket endpoint of one loop. */
export class AgentEndpoint {
  readonly #context: MessageContext;
  readonly #connections = new Map<number, AgentConnection>();
  readonly #sweep: NodeJS.Timeout;
  #nextConnection: number;
  #draining = false;

  constructor(context: MessageContext) {
    this.#context = context;
    this.#nextConnection = context.store.loop * CONNECTIONS_PER_LOOP;
    context.store.onDisconnect = (disconnect) => this.#disconnect(disconnect);
    this.#sweep = setInterval(() => this.#closeSilent(), SWEEP_MS);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  mount(app: TemplatedApp): void {
    app.ws<SocketData>(PATH, {
      // Twice the limit, so that a frame somewhat too long gets an answer and not just a closed socket.
      maxPayloadLength: 2 * MAX_MESSAGE_BYTES,
      maxBackpressure: MAX_UNREAD_BYTES,
      closeOnBackpressureLimit: true,
      // Silence is ours to judge: a pong shows that a kernel is alive, not that an agent is.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      upgrade: (res, req, context) => this.#upgrade(res, req, context),
      open: (socket) => {
        const { connection } = socket.getUserData();
        connection.open(socket);
        this.#connections.set(connection.number, connection);
        if (this.#draining) connection.end(CLOSE.restarting, 'restarting');
      },
      message: (socket, frame, isBinary) =>
        this.#receive(socket.getUserData().connection, frame, isBinary),
      close: (socket) => this.#left(socket.getUserData().connection),
    });
    app.any(PATH, (res, req) => this.#refusePlainHttp(res, req));
  }

  /**
   * Stops taking messages, waits until all that were taken are stored and answered, and sends the agents
   * away. What they send meanwhile is not acknowledged, so they send it again.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    clearInterval(this.#sweep);
    await this.#context.store.idle();
    const connections = [...this.#connections.values()];
    for (const connection of connections) connection.end(CLOSE.restarting, 'restarting');
    // Closing a socket that has something unread resets it, and a reset may overtake the close frame.
    if (connections.length > 0) await setTimeout(CLOSE_GRACE_MS);
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const key = req.getHeader('sec-websocket-key');
    const protocol = req.getHeader('sec-websocket-protocol');
    const extensions = req.getHeader('sec-websocket-extensions');
    this.#authenticate(res, req, (hostId) => {
      const connection = new AgentConnection(this.#nextConnection++, hostId);
      // Never inside res.cork: where the C library can grow the socket's memory in place, uWS goes on to
      // read the new WebSocket as the HTTP response that it was, and now and then closes it.
      res.upgrade<SocketData>({ connection }, key, protocol, extensions, context);
    });
  }

  #refusePlainHttp(res: HttpResponse, req: HttpRequest): void {
    this.#authenticate(res, req, () =>
      res.cork(() =>
        answer(
          res,
          '426 Upgrade Required',
          { Upgrade: 'websocket' },
          'agents connect by WebSocket',
        ),
      ),
    );
  }

  /**
   * Calls `then` if the request carries a host's token, and answers 401 if not. For every host that this
   * loop knows that happens at once, within uWS's handler, where an upgrade is simplest; the store is
   * asked only about tokens that nobody knows yet, or nobody ever will.
   */
  #authenticate(res: HttpResponse, req: HttpRequest, then: (hostId: string) => void): void {
    const { store } = this.#context;
    const token = bearerToken(req.getHeader('authorization'));
    if (token === undefined) return answer(res, ...UNAUTHORIZED);
    const tokenDigest = sha256(token);
    const known = store.hostOfToken(tokenDigest);
    if (known !== undefined) return then(known);
    let aborted = false;
    res.onAborted(() => {
      aborted = true;
    });
    store.submit('authenticate', { tokenDigest }).then(
      (hostId) => {
        if (aborted) return;
        if (hostId === undefined) res.cork(() => answer(res, ...UNAUTHORIZED));
        else then(hostId);
      },
      () => {
        if (!aborted) res.cork(() => answer(res, '503 Service Unavailable', {}, 'try again later'));
      },
    );
  }

  #receive(connection: AgentConnection, frame: ArrayBuffer, isBinary: boolean): void {
    if (this.#draining || connection.state === 'closed') return;
    connection.lastMessageAt = performance.now();
    if (isBinary) {
      return refuse(connection, new ProtocolError('bad_message', 'a message is a text frame'));
    }
    if (frame.byteLength > MAX_MESSAGE_BYTES) {
      const limit = `a message has at most ${MAX_MESSAGE_BYTES} bytes`;
      return refuse(connection, new ProtocolError('bad_message', limit));
    }
    handleFrame(connection, Buffer.from(frame).toString(), this.#context);
  }

  #left(connection: AgentConnection): void {
    this.#connections.delete(connection.number);
    const greeted = connection.left();
    // While draining, the host stays what it is in the database: it did not leave, we do.
    if (!greeted || this.#draining) return;
    this.#sayGoodbye(connection);
  }

  /** A full disk must not leave a host online for ever, so this is tried until it is stored. */
  #sayGoodbye({ hostId, number }: Pick<AgentConnection, 'hostId' | 'number'>): void {
    this.#context.store.submit('goodbye', { hostId, connection: number }).catch(() => {
      if (this.#draining) return;
      void setTimeout(GOODBYE_AGAIN_MS, undefined, { ref: false }).then(() =>
        this.#sayGoodbye({ hostId, number }),
      );
    });
  }

  #disconnect({ connection, reason }: Disconnect): void {
    const text = reason === 'replaced' ? 'replaced by a newer connection' : 'host removed';
    this.#connections.get(connection)?.end(CLOSE[reason], text);
  }

  #closeSilent(): void {
    const now = performance.now();
    for (const connection of this.#connections.values()) {
      if (connection.state === 'strange' && now - connection.openedAt > HELLO_WITHIN_MS) {
        connection.end(CLOSE.badHello, 'no hello in time');
      } else if (now - connection.lastMessageAt > SILENCE_MS) {
        connection.end(CLOSE.silent, 'no message in time');
      }
    }
  }
}

const UNAUTHORIZED = [
  '401 Unauthorized',
  { 'WWW-Authenticate': 'Bearer' },
  'unauthorized',
] as const;

function answer(
  res: HttpResponse,
  status: string,
  headers: Readonly<Record<string, string>>,
  line: string,
): void {
  res.writeStatus(status);
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
  res.end(`${line}\n`);
}
