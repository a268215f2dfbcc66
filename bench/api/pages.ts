import { Agent, get } from 'node:http';

/** A client of the API that keeps its connection, like a browser. */
export class ApiClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.#port = port;
  }

  /** @returns the body and the milliseconds until its last byte */
  get(path: string): Promise<{ body: string; ms: number }> {
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.#port, path, agent: this.#agent };
      const request = get(options, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          const ms = performance.now() - startedAt;
          if (response.statusCode === 200) resolve({ body, ms });
          else reject(new Error(`${path}: ${response.statusCode} ${body}`));
        });
      });
      request.on('error', reject);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Open pages that poll the fleet and the first hosts. */
export class Pages {
  readonly #clients: ApiClient[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #polls = new Set<Promise<unknown>>();
  readonly #errors: unknown[] = [];

  /** The first polls of the pages are spread over the first period. */
  constructor(port: number, pages: number, everyMs: number) {
    for (let page = 0; page < pages; page++) {
      const client = new ApiClient(port);
      this.#clients.push(client);
      const poll = () => this.#poll(client);
      const first = setTimeout(
        () => {
          poll();
          this.#timers.push(setInterval(poll, everyMs));
        },
        (page * everyMs) / pages,
      );
      this.#timers.push(first);
    }
  }

  /** @throws Error if a poll failed */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#polls);
    for (const client of this.#clients) client.close();
    if (this.#errors.length > 0) throw this.#errors[0];
  }

  #poll(client: ApiClient): void {
    const polled = (async () => {
      await client.get('/api/fleet');
      await client.get('/api/hosts');
    })().catch((error) => void this.#errors.push(error));
    this.#polls.add(polled);
    void polled.then(() => this.#polls.delete(polled));
  }
}
