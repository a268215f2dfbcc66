import { AgentSocket } from '../support/agent-socket.ts';
import { jobTable, TABLE_SIZE } from '../support/jobs.ts';
import type { ServerProcess } from '../support/server-process.ts';

const NOON = Date.UTC(2026, 0, 15, 12);
const ACK = '{"type":"ack"';

export interface Stretch {
  readonly jobsPerSecond: number;
  /** Milliseconds from sending each finish to its acknowledgement. */
  readonly acknowledgedMs: number[];
}

/**
 * Agents that report finished jobs without a pause, each with a fixed number of unacknowledged
 * finishes.
 */
export class IngestLoad {
  readonly #agents: readonly ReportingAgent[];

  private constructor(agents: readonly ReportingAgent[]) {
    this.#agents = agents;
  }

  static async connect(
    { port, tokens }: Pick<ServerProcess, 'port' | 'tokens'>,
    sockets: number,
  ): Promise<IngestLoad> {
    const agents: ReportingAgent[] = [];
    for (let n = 0; n < sockets; n++) {
      const socket = await AgentSocket.open(port, tokens[n]);
      await socket.greet();
      agents.push(new ReportingAgent(socket));
    }
    return new IngestLoad(agents);
  }

  /** Reports for `ms` milliseconds, then waits until every finish is acknowledged. */
  async run(inFlight: number, ms: number): Promise<Stretch> {
    const acknowledgedMs: number[] = [];
    const startedAt = performance.now();
    const until = startedAt + ms;
    await Promise.all(this.#agents.map((agent) => agent.report(inFlight, until, acknowledgedMs)));
    const seconds = (performance.now() - startedAt) / 1000;
    return { jobsPerSecond: acknowledgedMs.length / seconds, acknowledgedMs };
  }

  close(): void {
    for (const { socket } of this.#agents) socket.close();
  }
}

class ReportingAgent {
  readonly socket: AgentSocket;
  /** Send times of the unacknowledged finishes. The acknowledgements of a socket arrive in order. */
  readonly #sentAt: number[] = [];

  constructor(socket: AgentSocket) {
    this.socket = socket;
  }

  report(inFlight: number, until: number, acknowledgedMs: number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.onMessage = (text) => {
        if (!text.startsWith(ACK))
          return reject(new Error(`instead of an acknowledgement: ${text}`));
        const now = performance.now();
        acknowledgedMs.push(now - (this.#sentAt.shift() ?? Number.NaN));
        if (now < until) this.#send(now);
        else if (this.#sentAt.length === 0) resolve();
      };
      for (let n = 0; n < inFlight; n++) this.#send(performance.now());
    });
  }

  #send(now: number): void {
    this.#sentAt.push(now);
    this.socket.send(finish());
  }
}

/**
 * The rest of a finish after its ids. It contains kind and start, because the start of the job was
 * not reported.
 */
const details = jobTable().map(({ kind, status, ms }, index) => {
  const finishedAt = NOON + index;
  const [started, finished] = [finishedAt - ms, finishedAt].map((at) => new Date(at).toISOString());
  return `"kind":"${kind}","status":"${status}","started_at":"${started}","finished_at":"${finished}","exit_code":0}}`;
});
let jobs = 0;

/** A message with the finish of a new job that was never announced. */
export function finish(): string {
  const job = jobs++;
  const id = `01J8ZQ4X3N${String(job).padStart(16, '0')}`;
  return `{"type":"job.finished","id":"${id}","payload":{"job_id":"${id}",${details[job % TABLE_SIZE]}`;
}
