import { AgentSocket } from '../support/agent-socket.ts';

const EVERY_MS = 2;

/**
 * Round trips of one WebSocket. Pings leave by the clock and not when the last one is back, so that one
 * long wait counts for all that came into it.
 */
export class Pings {
  readonly #socket: AgentSocket;

  private constructor(socket: AgentSocket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Pings> {
    return new Pings(await AgentSocket.open(port));
  }

  /** @returns milliseconds from when each ping was due until it was back */
  run(forMs: number): Promise<number[]> {
    return new Promise((resolve) => {
      const trips: number[] = [];
      const startedAt = performance.now();
      let sent = 0;
      let all = Number.POSITIVE_INFINITY;
      this.#socket.onMessage = (dueAt) => {
        trips.push(performance.now() - Number(dueAt));
        if (trips.length === all) resolve(trips);
      };
      const timer = setInterval(() => {
        const now = performance.now();
        for (let due = startedAt + sent * EVERY_MS; due <= now; due += EVERY_MS) {
          this.#socket.send(String(due));
          sent++;
        }
        if (now - startedAt < forMs) return;
        clearInterval(timer);
        all = sent;
      }, 1);
    });
  }

  close(): void {
    this.#socket.close();
  }
}
