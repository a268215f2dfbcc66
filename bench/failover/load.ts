import { WebSocket } from 'ws';
import type { EnrolledHost } from './control-plane.ts';

/** An agent with this many unanswered finishes sends no new one. */
const MAX_UNANSWERED = 50;
/** Pause before an agent connects again, from half of it to one and a half. */
const RECONNECT_MS = 1_000;
const HANDSHAKE_LIMIT_MS = 5_000;
const TICK_MS = 10;

export interface Acknowledgement {
  /** When it arrived (`performance.now()`). */
  readonly atMs: number;
  /** Time since the finish was first sent. */
  readonly afterMs: number;
}

/** What all agents share. */
interface Shared {
  /** The control planes. */
  readonly urls: readonly string[];
  readonly acknowledged: Set<string>;
  readonly acknowledgements: Acknowledgement[];
  /** Answers that no agent should get. */
  readonly unexpected: string[];
}

/**
 * Agents that send finishes at a steady rate, each with its own connection. They keep a finish until it is acknowledged
 * and send it again after a reconnection, to the next control plane.
 */
export class Load {
  /** The finishes that were acknowledged, as `HOST_ID/JOB_ID`. */
  readonly acknowledged = new Set<string>();
  readonly acknowledgements: Acknowledgement[] = [];
  readonly unexpected: string[] = [];
  readonly #agents: readonly FinishingAgent[];
  readonly #timer: NodeJS.Timeout;
  #due = 0;
  #next = 0;
  #isPaused = true;

  /** @param rate finishes per second, of all agents together */
  constructor(hosts: readonly EnrolledHost[], urls: readonly string[], rate: number) {
    const { acknowledged, acknowledgements, unexpected } = this;
    const shared: Shared = { urls, acknowledged, acknowledgements, unexpected };
    this.#agents = hosts.map((host, index) => new FinishingAgent(host, index, shared));
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#due = Math.min(this.#due + ((now - last) * rate) / 1_000, rate);
      last = now;
      if (this.#isPaused) this.#due = 0;
      for (; this.#due >= 1; this.#due--)
        this.#agents[this.#next++ % this.#agents.length]?.finish();
    }, TICK_MS);
  }

  get online(): number {
    return this.#agents.filter(({ isWelcome }) => isWelcome).length;
  }

  /** Number of finishes that were sent, or wait for a connection, and are not acknowledged. */
  get unanswered(): number {
    return this.#agents.reduce((sum, agent) => sum + agent.unanswered, 0);
  }

  /** Number of agents that were connected more than once. */
  get reconnections(): number {
    return this.#agents.reduce((sum, agent) => sum + agent.reconnections, 0);
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** No agent sends a new finish any more. They continue to send again what is not acknowledged. */
  pause(): void {
    this.#isPaused = true;
  }

  end(): void {
    clearInterval(this.#timer);
    for (const agent of this.#agents) agent.end();
  }
}

interface Unanswered {
  readonly text: string;
  readonly sentAtMs: number;
}

class FinishingAgent {
  isWelcome = false;
  reconnections = 0;
  readonly #host: EnrolledHost;
  readonly #shared: Shared;
  /** Key: job id, which is also the id of the message. */
  readonly #unanswered = new Map<string, Unanswered>();
  #socket: WebSocket | undefined;
  #attempts: number;
  #jobs = 0;
  #hasEnded = false;

  constructor(host: EnrolledHost, index: number, shared: Shared) {
    this.#host = host;
    this.#shared = shared;
    this.#attempts = index;
    this.#connect();
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  finish(): void {
    if (this.#unanswered.size >= MAX_UNANSWERED) return;
    const id = String(++this.#jobs);
    const finishedAt = Date.now();
    const payload = {
      job_id: id,
      kind: 'backup',
      status: 'succeeded',
      started_at: new Date(finishedAt - 1_000).toISOString(),
      finished_at: new Date(finishedAt).toISOString(),
    };
    const text = JSON.stringify({ type: 'job.finished', id, payload });
    this.#unanswered.set(id, { text, sentAtMs: performance.now() });
    if (this.isWelcome) this.#socket?.send(text);
  }

  end(): void {
    this.#hasEnded = true;
    this.#socket?.terminate();
  }

  /** As a load balancer would, each attempt takes the next control plane. */
  #connect(): void {
    const { urls } = this.#shared;
    const url = urls[this.#attempts++ % urls.length] ?? '';
    const socket = new WebSocket(url, {
      headers: { Authorization: `Bearer ${this.#host.token}` },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_LIMIT_MS,
    });
    this.#socket = socket;
    socket.on('open', () => {
      const payload = { protocol_version: 1, agent_version: '1.0.0', hostname: 'failover' };
      socket.send(JSON.stringify({ type: 'hello', payload }));
    });
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isWelcome = false;
      if (this.#hasEnded) return;
      this.reconnections++;
      setTimeout(() => this.#connect(), RECONNECT_MS * (0.5 + Math.random()));
    });
  }

  #receive({ type, payload }: { type: string; payload: { id?: string } }): void {
    if (type === 'welcome') {
      this.isWelcome = true;
      for (const { text } of this.#unanswered.values()) this.#socket?.send(text);
    } else if (type === 'ack') {
      this.#acknowledge(payload.id ?? '');
    } else {
      this.#shared.unexpected.push(`${type}: ${JSON.stringify(payload)}`);
    }
  }

  #acknowledge(id: string): void {
    const finish = this.#unanswered.get(id);
    // After a reconnection the same finish may be sent twice on one connection.
    if (finish === undefined) return;
    this.#unanswered.delete(id);
    const atMs = performance.now();
    this.#shared.acknowledgements.push({ atMs, afterMs: atMs - finish.sentAtMs });
    this.#shared.acknowledged.add(`${this.#host.host_id}/${id}`);
  }
}
