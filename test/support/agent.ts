import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';

export interface Envelope {
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/**
 * A minimal agent over a real WebSocket. It sends what a test tells it to and keeps all messages of
 * the server.
 */
export class TestAgent {
  readonly #socket: WebSocket;
  readonly #received: Envelope[] = [];
  readonly #wake = new Set<() => void>();
  readonly closed: Promise<Closed>;
  #closedWith: Closed | undefined;
  #read = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      this.#received.push(JSON.parse(String(data)));
      this.#wakeAll();
    });
    this.closed = new Promise((resolve) =>
      socket.on('close', (code, reason) => {
        this.#closedWith = { code, reason: String(reason) };
        resolve(this.#closedWith);
        this.#wakeAll();
      }),
    );
    socket.on('error', () => {});
  }

  /**
   * Connects without a hello.
   * @throws Error with the HTTP status if the upgrade is refused
   */
  static async connect(url: string, token: string, options: object = {}): Promise<TestAgent> {
    const headers = { Authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, { headers, ...options });
    onTestFinished(() => socket.terminate());
    const agent = new TestAgent(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (_, response) =>
        reject(new Error(`HTTP ${response.statusCode}`)),
      );
      socket.once('error', reject);
    });
    return agent;
  }

  /** Connects, says hello and waits for the welcome. */
  static async online(url: string, token: string, options: object = {}): Promise<TestAgent> {
    const agent = await TestAgent.connect(url, token, options);
    agent.hello();
    await agent.receive('welcome');
    return agent;
  }

  get isClosed(): boolean {
    return this.#closedWith !== undefined;
  }

  hello(fields: object = {}): void {
    this.send('hello', {
      protocol_version: 1,
      agent_version: '1.0.0',
      hostname: 'test',
      ...fields,
    });
  }

  send(type: string, payload: object, id?: string): void {
    this.sendRaw(JSON.stringify({ type, ...(id !== undefined && { id }), payload }));
  }

  sendRaw(data: string | Buffer): void {
    this.#socket.send(data);
  }

  /** Returns the next message, which must have this type. */
  async receive(type: string): Promise<Envelope> {
    const message = await this.receiveAny(type);
    if (message.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(message)}`);
    return message;
  }

  /** The next message, of whatever type. */
  async receiveAny(expected = 'message'): Promise<Envelope> {
    for (;;) {
      const message = this.#received[this.#read];
      if (message !== undefined) {
        this.#read++;
        return message;
      }
      if (this.#closedWith) {
        throw new Error(`closed with ${this.#closedWith.code} before a ${expected}`);
      }
      await new Promise<void>((resolve) => this.#wake.add(resolve));
    }
  }

  /** Sends a message and waits for its acknowledgement. */
  async report(type: string, payload: object, id: string): Promise<void> {
    this.send(type, payload, id);
    const { payload: ack } = await this.receive('ack');
    if (ack.id !== id) throw new Error(`expected an ack of ${id}, got ${ack.id}`);
  }

  /**
   * Reports a complete job of the given duration, with or without its start, and waits for the
   * acknowledgement.
   */
  async job(job: {
    id: string;
    kind: string;
    status: string;
    finishedAt?: string;
    durationMs?: number;
    announce?: boolean;
  }): Promise<void> {
    const { id, kind, status, finishedAt = '2026-01-02T03:04:05.678Z', durationMs = 1000 } = job;
    const startedAt = new Date(Date.parse(finishedAt) - durationMs).toISOString();
    const start = { kind, started_at: startedAt };
    if (job.announce) await this.report('job.started', { job_id: id, ...start }, `${id}-start`);
    const finish = { job_id: id, status, finished_at: finishedAt, ...(!job.announce && start) };
    await this.report('job.finished', finish, `${id}-finish`);
  }

  /** Waits until the server has read everything sent so far, or is gone: it answers a ping in its turn. */
  async heard(): Promise<void> {
    const pong = new Promise((resolve) => this.#socket.once('pong', resolve));
    if (!this.isClosed) this.#socket.ping();
    await Promise.race([pong, this.closed]);
  }

  /** Stops reading from the socket, like an agent that hangs. */
  pause(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.close();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #wakeAll(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }
}
