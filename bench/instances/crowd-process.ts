import { setTimeout as sleep } from 'node:timers/promises';
import { AgentSocket } from '../support/agent-socket.ts';
import { jobTable } from '../support/jobs.ts';

/*
 * A process with many agents, because one process cannot open a socket for each of 30,000. Each agent
 * connects to one of the given ports. When its connection is closed, it connects to a random one, as
 * behind a load balancer. It has at most one unanswered finish, and sends it again after a reconnect.
 */
export interface CrowdOrders {
  readonly connect?: { readonly ports: readonly number[]; readonly tokens: readonly string[] };
  /** How to send finishes from now on: in all a second, or so many unanswered at any time. */
  readonly load?: { readonly perSecond: number } | { readonly inFlight: number } | 'none';
  /** Asks for a `CrowdReport`. */
  readonly report?: true;
}

/** What happened since the last report. */
export interface CrowdReport {
  /** Agents that are welcome now. */
  readonly welcome: number;
  readonly unanswered: number;
  /** For each acknowledged finish: the port, when it was sent (ms since 1970), and the wait in ms. */
  readonly acknowledged: Float64Array;
}

const JOBS = jobTable();
const HEARTBEAT_MS = 30_000;
/** A random part of this time passes before an agent connects again. */
const RECONNECT_MS = 3_000;
const TICK_MS = 10;
/** Handshakes of this process at one time. */
const MAX_CONNECTING = 200;

class CrowdAgent {
  isWelcome = false;
  /** The finish that was not acknowledged yet. */
  unanswered: string | undefined;
  sentAt = 0;
  port = 0;
  readonly #token: string;
  #socket: AgentSocket | undefined;
  #finishes = 0;

  constructor(token: string) {
    this.#token = token;
  }

  async connect(port: number): Promise<void> {
    for (;;) {
      try {
        const socket = await AgentSocket.open(port, this.#token);
        socket.onClose = () => this.#lost();
        this.#socket = socket;
        await socket.greet();
        break;
      } catch {
        await sleep(Math.random() * RECONNECT_MS);
        port = randomOf(ports) ?? port;
      }
    }
    this.port = port;
    this.isWelcome = true;
    if (this.#socket !== undefined) this.#socket.onMessage = (text) => this.#answered(text);
    if (this.unanswered !== undefined) this.#send(this.unanswered);
  }

  finish(): void {
    const job = randomOf(JOBS);
    if (job === undefined) return;
    const { kind, status, ms } = job;
    const id = `${this.#finishes++}`;
    const finishedAt = Date.now();
    this.unanswered = JSON.stringify({
      type: 'job.finished',
      id,
      payload: {
        job_id: `job-${id}`,
        kind,
        status,
        exit_code: status === 'succeeded' ? 0 : 1,
        started_at: new Date(finishedAt - ms).toISOString(),
        finished_at: new Date(finishedAt).toISOString(),
      },
    });
    this.#send(this.unanswered);
  }

  heartbeat(): void {
    const payload = { sent_at: new Date().toISOString() };
    if (this.isWelcome) this.#socket?.send(JSON.stringify({ type: 'heartbeat', payload }));
  }

  #send(text: string): void {
    this.sentAt = Date.now();
    this.#socket?.send(text);
  }

  #answered(text: string): void {
    if (!text.includes('"type":"ack"')) throw new Error(`an answer that is no ack: ${text}`);
    if (this.unanswered === undefined) return;
    this.unanswered = undefined;
    samples.push(this.port, this.sentAt, Date.now() - this.sentAt);
    answered();
  }

  #lost(): void {
    this.isWelcome = false;
    setTimeout(() => void this.connect(randomOf(ports) ?? 0), Math.random() * RECONNECT_MS);
  }
}

const agents: CrowdAgent[] = [];
let ports: readonly number[] = [];
let samples: number[] = [];
let inFlight = 0;
let perTick = 0;

process.on('message', (orders: CrowdOrders) => {
  if (orders.connect !== undefined) void connectAll(orders.connect);
  if (orders.load !== undefined) setLoad(orders.load);
  if (orders.report) report();
});
process.on('disconnect', () => process.exit());

async function connectAll({
  ports: all,
  tokens,
}: NonNullable<CrowdOrders['connect']>): Promise<void> {
  ports = all;
  agents.push(...tokens.map((token) => new CrowdAgent(token)));
  const waiting = agents.map((agent, index) => ({ agent, port: all[index % all.length] ?? 0 }));
  const connectSome = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await next.agent.connect(next.port);
    }
  };
  await Promise.all(Array.from({ length: MAX_CONNECTING }, connectSome));
  beatInTurn();
}

/** Spreads the heartbeats of all agents over the interval. */
function beatInTurn(): void {
  let next = 0;
  const each = Math.ceil((agents.length * 100) / HEARTBEAT_MS);
  setInterval(() => {
    for (let n = 0; n < each; n++) agents[next++ % agents.length]?.heartbeat();
  }, 100);
}

function setLoad(load: NonNullable<CrowdOrders['load']>): void {
  inFlight = typeof load === 'object' && 'inFlight' in load ? load.inFlight : 0;
  perTick =
    typeof load === 'object' && 'perSecond' in load ? (load.perSecond * TICK_MS) / 1_000 : 0;
  for (let n = unanswered(); n < inFlight; n++) finishOfOne();
}

let owed = 0;
setInterval(() => {
  owed += perTick;
  for (; owed >= 1; owed--) finishOfOne();
}, TICK_MS);

function answered(): void {
  if (inFlight > 0) finishOfOne();
}

/** A random agent that is welcome and has no unanswered finish sends one. */
function finishOfOne(): void {
  for (let tries = 0; tries < 100; tries++) {
    const agent = randomOf(agents);
    if (agent?.isWelcome && agent.unanswered === undefined) return agent.finish();
  }
}

function unanswered(): number {
  return agents.filter((agent) => agent.unanswered !== undefined).length;
}

function report(): void {
  const report: CrowdReport = {
    welcome: agents.filter(({ isWelcome }) => isWelcome).length,
    unanswered: unanswered(),
    acknowledged: Float64Array.from(samples),
  };
  samples = [];
  process.send?.(report);
}

function randomOf<T>(items: readonly T[]): T | undefined {
  return items[Math.floor(Math.random() * items.length)];
}
