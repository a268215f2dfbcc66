import { setTimeout } from 'node:timers/promises';
import type { Disconnect } from '../../contract/operations.ts';
import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_socket_context_t,
} from '../../platform/uws.ts';
import { PendingResponse } from '../http/pending-response.ts';
import type { RequestBudget } from '../http/request-budget.ts';
import type { SocketLimit } from '../http/socket-limit.ts';
import { Admission, type AdmissionOptions } from './admission.ts';
import { AgentConnection, type SocketData } from './connection.ts';
import { HostQueues } from './host-queues.ts';
import { MAX_UNGREETED_PER_HOST, MAX_UNREAD_BYTES } from './limits.ts';
import { handleFrame, type MessageContext, refuse } from './messages.ts';
import { CLOSE, MAX_MESSAGE_BYTES, tooLong } from './protocol.ts';
import { ProtocolError } from './protocol-error.ts';
import { closeFor, noteRefusal } from './refusals.ts';
import { ReportEndpoint } from './report-endpoint.ts';
import { Tally } from './tally.ts';
import { Turns } from './turns.ts';

const PATH = '/ws/agent';
const HELLO_WITHIN_MS = 10_000;
const SILENCE_MS = 90_000;
const SWEEP_MS = 1_000;
/**
 * How long a drain waits for the store. An operation that is not stored by then is not acknowledged,
 * so the agent sends it again.
 */
const DRAIN_LIMIT_MS = 5_000;
const DRAIN_POLL_MS = 5;
const CLOSE_GRACE_MS = 200;
/** The connection was closed without a close frame (RFC 6455, section 7.4.1). */
const ABNORMAL_CLOSURE = 1006;
/** The reason that uWS gives when the peer closes the TCP connection, as when an agent dies. */
const CLOSED_BY_AGENT = 'Received TCP FIN before WebSocket close frame';
/** Maximum time after which uWS closes a socket that was ended. */
const LINGER_MS = 10_000;

export interface AgentEndpointOptions extends Omit<MessageContext, 'queues'>, AdmissionOptions {
  /** Must be shared by all handlers that are mounted in this thread. */
  readonly requests: RequestBudget;
  readonly sockets: SocketLimit;
}

/** The agents' endpoint of one loop: their WebSockets, and through `ReportEndpoint` their HTTP requests. */
export class AgentEndpoint {
  readonly #options: AgentEndpointOptions & MessageContext;
  readonly #connections = new Map<number, AgentConnection>();
  /** Per host, the number of connections that have not sent a hello yet. */
  readonly #ungreeted = new Tally(MAX_UNGREETED_PER_HOST);
  readonly #turns = new Turns();
  readonly #admission: Admission;
  readonly #reports: ReportEndpoint;
  readonly #sweep: NodeJS.Timeout;
  #draining = false;

  constructor(options: AgentEndpointOptions) {
    this.#options = { ...options, queues: new HostQueues() };
    this.#admission = new Admission(options);
    this.#reports = new ReportEndpoint(options, this.#admission);
    options.store.onDisconnect = (disconnect) => this.#disconnect(disconnect);
    options.store.onTokensRevoked = (hostIds) => this.#closeUngreeted(hostIds);
    options.store.onFinished = (finished) => {
      for (const { kind, status, durationMs } of finished) {
        options.observeJob(kind, status, durationMs);
      }
    };
    this.#sweep = setInterval(() => this.#closeSilent(), SWEEP_MS);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  mount(app: TemplatedApp): void {
    this.#options.sockets.watch(app);
    app.ws<SocketData>(PATH, {
      // Twice the limit, so that the agent gets an error for a message that is a little too long. uWS
      // closes the socket without an answer at this length.
      maxPayloadLength: 2 * MAX_MESSAGE_BYTES,
      maxBackpressure: MAX_UNREAD_BYTES,
      // The sweep closes silent connections instead of uWS, for which a pong counts as life. A pong
      // does not show that the agent itself still works.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      upgrade: (res, req, context) => this.#upgrade(res, req, context),
      open: (socket) => {
        const { connection } = socket.getUserData();
        connection.open(socket);
        this.#connections.set(connection.number, connection);
        this.#options.stats.connection(1);
        if (this.#draining) connection.end(CLOSE.restarting, 'restarting');
      },
      message: (socket, frame, isBinary) =>
        this.#receive(socket.getUserData().connection, frame, isBinary),
      ping: (socket, frame) => void this.#countFrame(socket.getUserData().connection, frame),
      pong: (socket, frame) => void this.#countFrame(socket.getUserData().connection, frame),
      dropped: (socket) => this.#cutOff(socket.getUserData().connection),
      close: (socket, code, reason) =>
        this.#left(socket.getUserData().connection, code, Buffer.from(reason).toString()),
    });
    app.any(PATH, (res, req) => this.#refusePlainHttp(res, req));
    this.#reports.mount(app);
  }

  /**
   * Stops accepting messages, waits until the accepted ones are stored and answered, and closes the
   * connections. It does not wait for hellos, because an agent repeats its hello when it reconnects.
   * Messages that arrive during the drain are not acknowledged, so the agents send them again.
   * @param limitMs how long to wait for the store, in milliseconds
   */
  async drain(limitMs = DRAIN_LIMIT_MS): Promise<void> {
    this.#draining = true;
    this.#reports.drain();
    clearInterval(this.#sweep);
    const { queues } = this.#options;
    const giveUpAt = performance.now() + limitMs;
    const isIdle = () => queues.isEmpty && this.#reports.isIdle;
    while (!isIdle() && performance.now() < giveUpAt) await setTimeout(DRAIN_POLL_MS);
    const connections = [...this.#connections.values()];
    for (const connection of connections) connection.end(CLOSE.restarting, 'restarting');
    // Closing a socket with unread bytes resets the TCP connection, and the reset may overtake the
    // close frame. So the agents get some time to read it.
    if (connections.length > 0) await setTimeout(CLOSE_GRACE_MS);
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const response = new PendingResponse(res, req, this.#options.requests);
    if (response.hasBody)
      return response.send('400 Bad Request', {}, 'an upgrade must not have a body\n');
    const { store } = this.#options;
    const agent = this.#admission.admit(res, req, response);
    if (agent === undefined) return;
    if (!this.#ungreeted.add(agent.hostId)) {
      this.#options.stats.refusal('too_many_connections');
      const headers = { 'Retry-After': String(HELLO_WITHIN_MS / 1_000) };
      const line = 'too many connections without a hello\n';
      return response.send('429 Too Many Requests', headers, line);
    }
    const connection = new AgentConnection(store.numberConnection(), agent.hostId, agent.address);
    // Must not be called inside `res.cork`. If the C library grows the memory of the socket in place,
    // uWS then still treats the new WebSocket as the HTTP response, and sometimes closes it.
    res.upgrade<SocketData>(
      { connection },
      req.getHeader('sec-websocket-key'),
      req.getHeader('sec-websocket-protocol'),
      req.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  #refusePlainHttp(res: HttpResponse, req: HttpRequest): void {
    const response = new PendingResponse(res, req, this.#options.requests);
    if (this.#admission.admit(res, req, response) === undefined) return;
    const headers = { Upgrade: 'websocket' };
    response.send('426 Upgrade Required', headers, 'agents connect by WebSocket\n');
  }

  #receive(connection: AgentConnection, frame: ArrayBuffer, isBinary: boolean): void {
    if (!this.#countFrame(connection, frame) || this.#draining) return;
    connection.lastMessageAt = performance.now();
    if (isBinary) {
      this.#options.stats.message('other');
      const error = new ProtocolError('bad_message', 'a message must be a text frame');
      return refuse(connection, error, this.#options);
    }
    if (frame.byteLength > MAX_MESSAGE_BYTES) {
      this.#options.stats.message('other');
      return refuse(connection, tooLong(Buffer.from(frame).toString()), this.#options);
    }
    const { isGreeted } = connection;
    handleFrame(connection, Buffer.from(frame).toString(), this.#options);
    if (!isGreeted && connection.isGreeted) this.#ungreeted.remove(connection.hostId);
  }

  /**
   * Counts a frame. Closes a connection that sends too much in one turn of the loop.
   * @returns whether the frame is accepted
   */
  #countFrame(connection: AgentConnection, frame: ArrayBuffer): boolean {
    if (connection.state === 'closed') return false;
    if (connection.countFrame(this.#turns.current, frame.byteLength)) return true;
    closeFor(connection, 'too_many_messages', this.#options);
    return false;
  }

  #left(connection: AgentConnection, code: number, reason: string): void {
    const { stats, store, sockets } = this.#options;
    stats.connection(-1);
    if (connection.isEnded) sockets.webSocketClosedAfter(LINGER_MS);
    else sockets.webSocketClosed();
    // uWS gives a reason if it closed the connection for breaking the WebSocket protocol or a limit.
    if (code === ABNORMAL_CLOSURE && reason !== '' && reason !== CLOSED_BY_AGENT) {
      noteRefusal(connection, 'bad_frame', this.#options, { why: reason });
    }
    this.#connections.delete(connection.number);
    if (connection.state === 'ungreeted') this.#ungreeted.remove(connection.hostId);
    const greeted = connection.left();
    // During a drain the server ends the connection, not the agent. So there is no goodbye, and the
    // host stays online in the database.
    if (!greeted || this.#draining) return;
    // Needs no retry: the store thread remembers a goodbye that it cannot write.
    const goodbye = { hostId: connection.hostId, connection: connection.number };
    store.submit('goodbye', goodbye).catch(() => {});
  }

  /**
   * Closes a connection whose agent does not read. `closeOnBackpressureLimit` of uWS would not close it for
   * as long as the agent sends.
   */
  #cutOff(connection: AgentConnection): void {
    if (connection.hasUnread) return;
    connection.hasUnread = true;
    noteRefusal(connection, 'unread_answers', this.#options);
    // Not in this turn, in which uWS still uses the socket.
    setImmediate(() => connection.cutOff());
  }

  #disconnect({ connection: number, reason }: Disconnect): void {
    const connection = this.#connections.get(number);
    if (connection) closeFor(connection, reason, this.#options);
  }

  /**
   * Closes the connections of these hosts that have not sent a hello. The store does not know them. It
   * closes the others by `onDisconnect`.
   */
  #closeUngreeted(hostIds: ReadonlySet<string>): void {
    for (const connection of this.#connections.values()) {
      if (connection.state !== 'ungreeted' || !hostIds.has(connection.hostId)) continue;
      closeFor(connection, 'token_replaced', this.#options);
    }
  }

  #closeSilent(): void {
    const now = performance.now();
    for (const connection of this.#connections.values()) {
      if (connection.state === 'ungreeted' && now - connection.openedAt > HELLO_WITHIN_MS) {
        closeFor(connection, 'bad_hello', this.#options, 'no hello in time');
      } else if (now - connection.lastMessageAt > SILENCE_MS) {
        closeFor(connection, 'silent', this.#options);
      }
    }
  }
}
