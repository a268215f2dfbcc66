import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { HostJobs, type Report } from './host-jobs.ts';
import type { Ledger } from './ledger.ts';
import { type Job, repoStats, seriesOf } from './reports.ts';
import type { EnrolledHost } from './server.ts';

/** An agent with this many unanswered messages reports nothing new. The server allows 4,000. */
const MAX_UNANSWERED = 500;
/** Probabilities with which a repeated finish or statistics follow a finish. */
const REPEAT_PROBABILITY = 0.05;
const STATS_PROBABILITY = 0.05;
const HANDSHAKE_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** What all agents share. */
export interface AgentContext {
  readonly url: string;
  readonly ledger: Ledger;
  /** Called with a description of anything that a correct server would never do. */
  readonly reportUnexpected: (what: string) => void;
}

interface Unanswered {
  readonly text: string;
  readonly finished: Job | undefined;
  readonly conflicts: true | undefined;
}

type ServerMessage =
  | { readonly type: 'welcome' }
  | { readonly type: 'ack'; readonly payload: { readonly id: string } }
  | { readonly type: 'error'; readonly payload: { readonly code?: string; readonly id?: string } };

/**
 * - `reporting`: until `retire` is called
 * - `retired`: it reports nothing new, because its host will be removed or the server will end
 * - `gone`: the server closed its connection, as expected
 */
type Stage = 'reporting' | 'retired' | 'gone';

/**
 * An agent. It keeps its reports until the server acknowledges them, and sends unacknowledged ones
 * again after each welcome.
 */
export class Agent {
  readonly hostId: string;
  readonly #token: string;
  readonly #context: AgentContext;
  /** Key: message id. In the order of sending. */
  readonly #unanswered = new Map<string, Unanswered>();
  readonly #jobs = new HostJobs();
  #socket: WebSocket | undefined;
  #stage: Stage = 'reporting';
  #isWelcome = false;
  #shouldConnect = true;
  #lastMessage = 0;

  constructor({ host_id, token }: EnrolledHost, context: AgentContext) {
    this.hostId = host_id;
    this.#token = token;
    this.#context = context;
    this.#connect();
  }

  get isOnline(): boolean {
    return this.#isWelcome;
  }

  get isReporting(): boolean {
    return this.#stage === 'reporting';
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  /**
   * Reports a finish, and sometimes a start, statistics or a repeated finish. Does nothing if too
   * many messages are unanswered.
   */
  report(): void {
    if (this.#stage !== 'reporting' || this.#unanswered.size >= MAX_UNANSWERED) return;
    for (const report of this.#jobs.next()) this.#send(report);
    if (Math.random() < STATS_PROBABILITY) this.#send({ type: 'repo.stats', payload: repoStats() });
    const repeat = Math.random() < REPEAT_PROBABILITY ? this.#jobs.repeat() : undefined;
    if (repeat) this.#send(repeat);
  }

  heartbeat(): void {
    if (!this.#isWelcome) return;
    const payload = { sent_at: new Date().toISOString() };
    this.#socket?.send(JSON.stringify({ type: 'heartbeat', payload }));
  }

  /** Disconnects, with or without a close frame, and connects again after `awayMs` milliseconds. */
  drop(awayMs: number): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#forgetSocket();
    if (Math.random() < 0.5) socket.close(1000);
    else socket.terminate();
    this.#reconnectAfter(awayMs);
  }

  /** Stops reporting. Resolves when the agent is connected and all messages are answered. */
  async retire(): Promise<void> {
    this.#stage = 'retired';
    while (!this.#isWelcome || this.#unanswered.size > 0) await sleep(POLL_MS);
  }

  /** Resolves when the server has closed the connection of the retired agent. */
  async sentAway(): Promise<void> {
    while (this.#stage !== 'gone') await sleep(POLL_MS);
  }

  /** Ends the agent, whatever the server does. */
  end(): void {
    this.#shouldConnect = false;
    this.#socket?.terminate();
  }

  #connect(): void {
    const socket = new WebSocket(this.#context.url, {
      headers: { Authorization: `Bearer ${this.#token}` },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_LIMIT_MS,
    });
    this.#socket = socket;
    let failure = '';
    // Messages on a socket that this agent has left are lost, as they would be in reality.
    socket.on('message', (data) => {
      if (socket === this.#socket) this.#receive(JSON.parse(String(data)));
    });
    socket.on('open', () => {
      const payload = { protocol_version: 1, agent_version: '1.0.0', hostname: this.hostId };
      socket.send(JSON.stringify({ type: 'hello', payload }));
    });
    socket.on('error', ({ message }) => {
      failure = message;
    });
    socket.on('close', (code) => {
      if (socket === this.#socket) this.#closed(code, failure);
    });
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#isWelcome = true;
        for (const { text } of this.#unanswered.values()) this.#socket?.send(text);
        return;
      case 'ack':
        return this.#acknowledged(message.payload.id);
      case 'error':
        if (this.#isExpected(message.payload)) return;
        return this.#context.reportUnexpected(`an error: ${JSON.stringify(message.payload)}`);
    }
  }

  /** A job under a used id must be refused. Then the error is the expected answer. */
  #isExpected({ code, id = '' }: { readonly code?: string; readonly id?: string }): boolean {
    const isConflict = code === 'job_conflict' && this.#unanswered.get(id)?.conflicts === true;
    if (isConflict) this.#unanswered.delete(id);
    return isConflict;
  }

  #acknowledged(id: string): void {
    const { ledger, reportUnexpected } = this.#context;
    const message = this.#unanswered.get(id);
    if (message === undefined) return reportUnexpected('an ack for an unknown message');
    this.#unanswered.delete(id);
    const { finished, conflicts } = message;
    if (conflicts) return reportUnexpected('an ack for another job under a used id');
    if (finished === undefined) return;
    ledger.acknowledge(this.hostId, finished.number, seriesOf(finished));
    this.#jobs.acknowledged(finished);
  }

  /** The server closed the socket or refused the connection. */
  #closed(code: number, failure: string): void {
    this.#forgetSocket();
    const isRemoved = code === 4002 || failure.endsWith(' 401');
    if (this.#stage === 'retired' && (isRemoved || code === 1012)) {
      this.#stage = 'gone';
      return;
    }
    // The server may ask an agent of a new host to try again.
    if (!failure.endsWith(' 503')) {
      this.#context.reportUnexpected(`a connection that ended with ${failure || `code ${code}`}`);
    }
    this.#reconnectAfter(1_000 * (0.5 + Math.random()));
  }

  #forgetSocket(): void {
    this.#socket = undefined;
    this.#isWelcome = false;
  }

  #reconnectAfter(awayMs: number): void {
    setTimeout(() => {
      if (this.#shouldConnect && this.#socket === undefined) this.#connect();
    }, awayMs);
  }

  #send({ type, payload, finished, conflicts }: Report): void {
    const id = String(++this.#lastMessage);
    const text = JSON.stringify({ type, id, payload });
    this.#unanswered.set(id, { text, finished, conflicts });
    if (this.#isWelcome) this.#socket?.send(text);
  }
}
