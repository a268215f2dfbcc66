import { setTimeout as sleep } from 'node:timers/promises';
import type { Load } from './load.ts';
import type { SoakServer } from './server.ts';

/** The number of hosts that are added, and the number that are removed, in each step. */
const HOSTS = 2;
const SENT_AWAY_LIMIT_MS = 10_000;

/** Adds and removes hosts by the real command line while other hosts report. */
export class Churn {
  added = 0;
  removed = 0;
  readonly faults: string[] = [];
  readonly #server: SoakServer;
  readonly #load: Load;
  readonly #hostIds: string[] = [];

  constructor(server: SoakServer, load: Load) {
    this.#server = server;
    this.#load = load;
  }

  async add(count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, n) => `soak-${this.added + n}`);
    const hosts = await this.#server.addHosts(names);
    this.#hostIds.push(...hosts.map(({ host_id }) => host_id));
    this.added += count;
    await this.#load.tell('add', hosts);
  }

  /** Adds some hosts and removes some others. */
  async step(): Promise<void> {
    await this.#noting(() => this.add(HOSTS));
    for (let n = 0; n < HOSTS; n++) await this.#noting(() => this.#removeOne());
  }

  /**
   * Removes a host. If a finish is in flight while its host is removed, a client cannot know
   * whether it counts. So the agent first stops reporting, but stays connected.
   */
  async #removeOne(): Promise<void> {
    const at = Math.floor(Math.random() * this.#hostIds.length);
    const [hostId] = this.#hostIds.splice(at, 1);
    if (hostId === undefined) return;
    await this.#load.tell('retire', hostId);
    await this.#server.removeHost(hostId);
    this.removed++;
    const gone = this.#load.tell('removed', hostId);
    const tooLong = sleep(SENT_AWAY_LIMIT_MS, 'too long', { ref: false });
    if ((await Promise.race([gone, tooLong])) === 'too long') {
      throw new Error(
        `host ${hostId} was removed, but the server did not close the connection of its agent`,
      );
    }
  }

  async #noting(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.faults.push(error instanceof Error ? error.message : String(error));
    }
  }
}
