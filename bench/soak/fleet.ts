import { Agent, type AgentContext } from './agent.ts';
import type { Ledger } from './ledger.ts';
import type { EnrolledHost } from './server.ts';

const TICK_MS = 20;
/** If this thread was late, it catches up on the reports of at most this period. */
const MAX_LATE_MS = 250;
const HEARTBEAT_MS = 20_000;
/** Average duration of a connection. */
const SESSION_MS = 20_000;
const MAX_AWAY_MS = 2_000;

export interface FleetOptions {
  readonly url: string;
  /** Finishes per second, over all agents. */
  readonly rate: number;
  readonly ledger: Ledger;
  readonly reportUnexpected: (what: string) => void;
}

/**
 * All agents. Together they report at a steady rate, each at random times. They disconnect and
 * reconnect.
 */
export class Fleet {
  readonly #agents = new Map<string, Agent>();
  readonly #context: AgentContext;
  readonly #rate: number;
  readonly #timers: NodeJS.Timeout[];
  #reporting: Agent[] = [];
  #lastTick = performance.now();
  #due = 0;
  #isSettling = false;

  constructor({ url, rate, ledger, reportUnexpected }: FleetOptions) {
    this.#context = { url, ledger, reportUnexpected };
    this.#rate = rate;
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#heartbeats(), HEARTBEAT_MS),
    ];
  }

  get online(): number {
    return [...this.#agents.values()].filter(({ isOnline }) => isOnline).length;
  }

  add(hosts: readonly EnrolledHost[]): void {
    for (const host of hosts) {
      this.#context.ledger.enrol(host.host_id);
      this.#agents.set(host.host_id, new Agent(host, this.#context));
    }
    this.#chooseReporting();
  }

  /** Resolves when all messages of the host are answered, so that it can be removed. */
  async retire(hostId: string): Promise<void> {
    const agent = this.#agent(hostId);
    const quiet = agent.retire();
    this.#chooseReporting();
    await quiet;
  }

  /**
   * Must be called after the host was removed. Resolves when the server has closed the connection
   * of its agent.
   */
  async removed(hostId: string): Promise<void> {
    await this.#agent(hostId).sentAway();
    this.#agents.delete(hostId);
    this.#context.ledger.remove(hostId);
  }

  /** Disconnects all agents at once. They also reconnect at once. */
  storm(): void {
    for (const agent of this.#agents.values()) agent.drop(0);
  }

  /**
   * Resolves when all messages are answered or `limit` is aborted.
   * @returns the number of messages that are still unanswered
   */
  async settle(limit: AbortSignal): Promise<number> {
    this.#isSettling = true;
    const agents = [...this.#agents.values()];
    const limited = new Promise((resolve) => limit.addEventListener('abort', resolve));
    await Promise.race([Promise.all(agents.map((agent) => agent.retire())), limited]);
    return agents.reduce((sum, { unanswered }) => sum + unanswered, 0);
  }

  /** Resolves when the server has closed the connections of all agents. */
  async farewell(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.sentAway()));
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const agent of this.#agents.values()) agent.end();
  }

  #tick(): void {
    const now = performance.now();
    const elapsed = Math.min(now - this.#lastTick, MAX_LATE_MS);
    this.#lastTick = now;
    if (this.#isSettling) return;
    this.#due += (this.#rate * elapsed) / 1_000;
    for (; this.#due >= 1; this.#due--) this.#anyReporting()?.report();
    const dropped = elapsed / SESSION_MS;
    for (const agent of this.#reporting) {
      if (Math.random() < dropped && agent.isOnline) agent.drop(Math.random() * MAX_AWAY_MS);
    }
  }

  #heartbeats(): void {
    for (const agent of this.#agents.values()) agent.heartbeat();
  }

  #chooseReporting(): void {
    this.#reporting = [...this.#agents.values()].filter(({ isReporting }) => isReporting);
  }

  #anyReporting(): Agent | undefined {
    return this.#reporting[Math.floor(Math.random() * this.#reporting.length)];
  }

  #agent(hostId: string): Agent {
    const agent = this.#agents.get(hostId);
    if (agent === undefined) throw new Error(`no agent of host ${hostId}`);
    return agent;
  }
}
