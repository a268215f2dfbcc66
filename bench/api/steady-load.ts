import { finish } from '../ingest/load.ts';
import { AgentSocket } from '../support/agent-socket.ts';

const ACK = '{"type":"ack"';
const TICK_MS = 5;

/**
 * Agents that report finished jobs at a fixed rate, whether or not the earlier ones are acknowledged. So a
 * delay counts for every finish that was due during it.
 */
export class SteadyLoad {
  readonly #agents: AgentSocket[] = [];

  static async connect(port: number, tokens: readonly string[]): Promise<SteadyLoad> {
    const load = new SteadyLoad();
    for (const token of tokens) {
      const socket = await AgentSocket.open(port, token);
      await socket.greet();
      load.#agents.push(socket);
    }
    return load;
  }

  /** @returns milliseconds from the time each finish was due until its acknowledgement */
  run(jobsPerSecond: number, ms: number): Promise<number[]> {
    return new Promise((resolve, reject) => {
      const waits: number[] = [];
      const due = this.#agents.map((): number[] => []);
      let sent = 0;
      let isOver = false;
      for (const [index, socket] of this.#agents.entries()) {
        socket.onMessage = (text) => {
          if (!text.startsWith(ACK)) return reject(new Error(`no acknowledgement: ${text}`));
          waits.push(performance.now() - (due[index]?.shift() ?? Number.NaN));
          if (isOver && waits.length === sent) resolve(waits);
        };
      }
      const startedAt = performance.now();
      const timer = setInterval(() => {
        const passed = performance.now() - startedAt;
        for (; (sent * 1_000) / jobsPerSecond <= Math.min(passed, ms); sent++) {
          const agent = sent % this.#agents.length;
          due[agent]?.push(startedAt + (sent * 1_000) / jobsPerSecond);
          this.#agents[agent]?.send(finish());
        }
        if (passed < ms) return;
        clearInterval(timer);
        isOver = true;
        if (waits.length === sent) resolve(waits);
      }, TICK_MS);
    });
  }

  close(): void {
    for (const agent of this.#agents) agent.close();
  }
}
