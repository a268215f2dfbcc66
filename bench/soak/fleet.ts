import { Agent, type AgentContext } from './agent.ts';
import type { Ledger } from './ledger.ts';
import type { EnrolledHost } from './server.ts';

const TICK_MS = 20;
/** What could not be reported in time, because this thread was late, is made up for up to that. */
const MAX_LATE_MS = 250;
const HEARTBEAT_MS = 20_000;
/** How long an agent stays connected on average. */
const SESSION_MS = 20_000;
const MAX_AWAY_MS = 2_000;

export interface FleetOptions {
  readonly url: string;
  /** Finishes a second, of all agents together. */
  readonly rate: number;
  readonly ledger: Ledger;
  readonly surprised: (what: string) => void;
}

/** All agents: they report at a steady rate in sum, each at times of chance, and come and go. */
export class Fleet {
  readonly #agents = new Map<string, Agent>();
  readonly #context: AgentContext;
  readonly #rate: number;
  readonly #timers: NodeJS.Timeout[];
  #reporting: Agent[] = [];
  #lastTick = performance.now();
  #due = 0;
  #isSettling = false;

  constructor({ url, rate, ledger, surprised }: FleetOptions) {
    this.#context = { url, ledger, surprised };
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

  /** Resolves when nothing of that host is in flight, so that it can be removed. */
  async retire(hostId: string): Promise<void> {
    const agent = this.#agent(hostId);
    const quiet = agent.retire();
    this.#chooseReporting();
    await quiet;
  }

  /** To be called once the host was removed. Resolves when the server has sent its agent away. */
  async removed(hostId: string): Promise<void> {
    await this.#agent(hostId).sentAway();
    this.#agents.delete(hostId);
    this.#context.ledger.remove(hostId);
  }

  /** All agents lose their connections at once, and come back at once. */
  storm(): void {
    for (const agent of this.#agents.values()) agent.drop(0);
  }

  /** Resolves when nothing is in flight any more, or `limit` is aborted; @returns how much still is */
  async settle(limit: AbortSignal): Promise<number> {
    this.#isSettling = true;
    const agents = [...this.#agents.values()];
    const limited = new Promise((resolve) => limit.addEventListener('abort', resolve));
    await Promise.race([Promise.all(agents.map((agent) => agent.retire())), limited]);
    return agents.reduce((sum, { unanswered }) => sum + unanswered, 0);
  }

  /** Resolves when the server has sent all agents away. */
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
