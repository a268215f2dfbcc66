import type { MessagePort } from 'node:worker_threads';
import type { Query, QueryAnswer } from '../../contract/queries.ts';
import type { QuerySource } from './query-source.ts';

/*
 * Lets an agent loop in another thread serve the API. The main thread passes its requests to the query thread.
 */
interface RemoteQuery {
  readonly id: number;
  readonly query: Query;
}
interface RemoteAnswer {
  readonly id: number;
  readonly answer: QueryAnswer;
}

/** Answers the `RemoteQueries` at the other end of `port`. */
export function serveRemoteQueries(port: MessagePort, source: QuerySource): void {
  port.on('message', async ({ id, query }: RemoteQuery) => {
    const answer = await source.ask(query);
    const reply: RemoteAnswer = { id, answer };
    port.postMessage(reply, 'json' in answer ? [answer.json.buffer] : []);
  });
}

/** A query source for a loop that does not own the query thread. It asks the main thread. */
export class RemoteQueries implements QuerySource {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (answer: QueryAnswer) => void>();
  #requests = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', ({ id, answer }: RemoteAnswer) => {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  ask(query: Query): Promise<QueryAnswer> {
    const id = this.#requests++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      const request: RemoteQuery = { id, query };
      this.#port.postMessage(request);
    });
  }

  close(): void {
    this.#port.close();
  }
}
