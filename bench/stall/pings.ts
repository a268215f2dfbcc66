import { AgentSocket } from '../support/agent-socket.ts';

const EVERY_MS = 2;

/**
 * Measures round trips of one WebSocket. Pings are sent at fixed times, whether or not the previous
 * one was answered. So one long stall counts for every ping that was due during it.
 */
export class Pings {
  readonly #socket: AgentSocket;

  private constructor(socket: AgentSocket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Pings> {
    return new Pings(await AgentSocket.open(port));
  }

  /** @returns milliseconds from the time each ping was due until its answer arrived */
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
