import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { HostJobs, type Report } from './host-jobs.ts';
import type { Ledger } from './ledger.ts';
import { type Job, repoStats, seriesOf } from './reports.ts';
import type { EnrolledHost } from './server.ts';

/** Messages that an agent leaves unanswered; beyond that it reports nothing new. The server stands 4,000. */
const MAX_UNANSWERED = 500;
/** A finish is followed by these so often. */
const REPEATS = 0.05;
const STATS = 0.05;
const HANDSHAKE_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** What all agents have in common. */
export interface AgentContext {
  readonly url: string;
  readonly ledger: Ledger;
  /** Told what a server that does all right would never do. */
  readonly surprised: (what: string) => void;
}

interface Unanswered {
  readonly text: string;
  readonly finished: Job | undefined;
}

type ServerMessage =
  | { readonly type: 'welcome' }
  | { readonly type: 'ack'; readonly payload: { readonly id: string } }
  | { readonly type: 'error'; readonly payload: unknown };

/**
 * - `reporting`: until `retire`
 * - `retired`: nothing new comes, since its host is to be removed or the server is to end
 * - `gone`: the server sent it away, as it was to
 */
type Stage = 'reporting' | 'retired' | 'gone';

/** An agent that keeps what it reports until that is acknowledged, and sends it again whenever it is welcomed. */
export class Agent {
  readonly hostId: string;
  readonly #token: string;
  readonly #context: AgentContext;
  /** By message id, in the order of sending. */
  readonly #unanswered = new Map<string, Unanswered>();
  readonly #jobs = new HostJobs();
  #socket: WebSocket | undefined;
  #stage: Stage = 'reporting';
  #isWelcome = false;
  #isWanted = true;
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

  /** A finish, and what goes with it. Nothing if there is too much unanswered already. */
  report(): void {
    if (this.#stage !== 'reporting' || this.#unanswered.size >= MAX_UNANSWERED) return;
    for (const report of this.#jobs.next()) this.#send(report);
    if (Math.random() < STATS) this.#send({ type: 'repo.stats', payload: repoStats() });
    const repeat = Math.random() < REPEATS ? this.#jobs.repeat() : undefined;
    if (repeat) this.#send(repeat);
  }

  heartbeat(): void {
    if (!this.#isWelcome) return;
    const payload = { sent_at: new Date().toISOString() };
    this.#socket?.send(JSON.stringify({ type: 'heartbeat', payload }));
  }

  /** Leaves, with a goodbye or without one, and comes back. */
  drop(awayMs: number): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#left();
    if (Math.random() < 0.5) socket.close(1000);
    else socket.terminate();
    this.#comeBack(awayMs);
  }

  /** Reports nothing new. Resolves when it is connected and everything is answered. */
  async retire(): Promise<void> {
    this.#stage = 'retired';
    while (!this.#isWelcome || this.#unanswered.size > 0) await sleep(POLL_MS);
  }

  /** Resolves when the server has sent it away. */
  async sentAway(): Promise<void> {
    while (this.#stage !== 'gone') await sleep(POLL_MS);
  }

  /** Ends whatever the server does. */
  end(): void {
    this.#isWanted = false;
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
    // What comes by a socket that this agent has left is lost, as it would be in life.
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
        return this.#context.surprised(`an error: ${JSON.stringify(message.payload)}`);
    }
  }

  #acknowledged(id: string): void {
    const { ledger, surprised } = this.#context;
    const message = this.#unanswered.get(id);
    if (message === undefined) return surprised('an ack of what nobody waits for');
    this.#unanswered.delete(id);
    const { finished } = message;
    if (finished === undefined) return;
    ledger.acknowledge(this.hostId, finished.number, seriesOf(finished));
    this.#jobs.acknowledged(finished);
  }

  /** The server closed the socket, or never opened one. */
  #closed(code: number, failure: string): void {
    this.#left();
    const isRemoved = code === 4002 || failure.endsWith(' 401');
    if (this.#stage === 'retired' && (isRemoved || code === 1012)) {
      this.#stage = 'gone';
      return;
    }
    // A host that is new may be asked to try again.
    if (!failure.endsWith(' 503')) {
      this.#context.surprised(`a connection that ended with ${failure || `code ${code}`}`);
    }
    this.#comeBack(1_000 * (0.5 + Math.random()));
  }

  #left(): void {
    this.#socket = undefined;
    this.#isWelcome = false;
  }

  #comeBack(awayMs: number): void {
    setTimeout(() => {
      if (this.#isWanted && this.#socket === undefined) this.#connect();
    }, awayMs);
  }

  #send({ type, payload, finished }: Report): void {
    const id = String(++this.#lastMessage);
    const text = JSON.stringify({ type, id, payload });
    this.#unanswered.set(id, { text, finished });
    if (this.#isWelcome) this.#socket?.send(text);
  }
}
