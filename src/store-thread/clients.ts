import type { MessagePort } from 'node:worker_threads';
import {
  CONNECTIONS_PER_LOOP,
  type Disconnect,
  type EnrolledHost,
  type FinishedJob,
  type Outcome,
  type StoreMessage,
  type TokenChanges,
} from '../contract/operations.ts';

/** A loop or a command that submits operations. */
export interface Client {
  readonly port: MessagePort;
  /** `progress[0]` counts answered operations. A loop with too many unanswered ones waits on it. */
  readonly progress: Int32Array;
}

/** All clients of the store, by the number of their loop. */
export class Clients {
  readonly #byLoop = new Map<number, Client>();

  add(loop: number, client: Client, enrolled: readonly EnrolledHost[]): void {
    this.#byLoop.set(loop, client);
    send(client, { tokenChanges: { added: enrolled, removed: [] } });
  }

  [Symbol.iterator](): Iterator<Client> {
    return this.#byLoop.values();
  }

  settle(client: Client, outcomes: readonly Outcome[]): void {
    send(client, { outcomes });
    Atomics.add(client.progress, 0, outcomes.length);
    Atomics.notify(client.progress, 0);
  }

  disconnect(connection: number, reason: Disconnect['reason']): void {
    const client = this.#byLoop.get(Math.floor(connection / CONNECTIONS_PER_LOOP));
    if (client) send(client, { disconnect: { connection, reason } });
  }

  tell(tokenChanges: TokenChanges): void {
    for (const client of this) send(client, { tokenChanges });
  }

  /** Sends jobs to a loop that serves agents, which observes them. All loops share one histogram. */
  observe(finished: readonly FinishedJob[]): void {
    const client = [...this].at(-1);
    if (client) send(client, { finished });
  }

  close(): void {
    for (const { port } of this) port.close();
  }
}

function send({ port }: Client, message: StoreMessage): void {
  port.postMessage(message);
}
