import pg from 'pg';
import type { Statement, StatementError, StatementResult } from '../contract/statements.ts';
import { messageOf } from '../errors.ts';

/** How long one server may take to accept a connection and to answer the first query. */
const CONNECT_LIMIT_MS = 2_000;
/** Pause after all servers were tried. It grows from the first to the second value. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 1_000;
/** How long the goodbye to the server may take. */
const CLOSE_LIMIT_MS = 500;
/** After this time without traffic the system checks whether the server is still there. */
const KEEP_ALIVE_MS = 5_000;

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const READ_ONLY = '25006';
const SHUTDOWNS: readonly string[] = ['57P01', '57P02', '57P03'];
/**
 * The function of the server whose warnings say that the wait for a synchronous standby was ended: the transaction is
 * committed, but it may not have been replicated. The text depends on the language of the server, and the
 * SQLSTATE is that of other warnings too. https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
const WAIT_FOR_STANDBY = 'SyncRepWaitForLSN';

/** Types whose text the store thread does not want as `pg` returns it. Numbers are those of `pg_type`. */
const INT8 = 20;
const JSONB = 3802;
const TYPES: pg.CustomTypesConfig = {
  getTypeParser(type: number, format?: 'text' | 'binary') {
    if (type === INT8) return Number;
    if (type === JSONB) return String;
    return pg.types.getTypeParser(type, format as 'text');
  },
} as pg.CustomTypesConfig;

/** The answer to some statements. */
export interface ConnectionAnswer {
  /** The results of the statements that succeeded. */
  readonly results: StatementResult[];
  readonly error: StatementError | undefined;
  /** The server's message that a synchronous standby may not have the commit among the statements. */
  readonly unreplicated: string | undefined;
}

export interface ConnectionEvents {
  onConnected(number: number): void;
  onDisconnected(): void;
  /** No server accepts a connection. Called with the reasons, each time all were tried. */
  onUnreachable(why: string): void;
}

/**
 * One connection to the primary. If it is lost, this connects again: it tries the servers in turn until it
 * finds one that is not a standby. If a server did not answer, it tries the others first: a server that was
 * the primary, and is no longer, may not know that.
 */
export class Connection {
  readonly #addresses: readonly string[];
  readonly #events: ConnectionEvents;
  #client: pg.Client | undefined;
  #number = 0;
  /** Index of the server to try first. */
  #first = 0;
  #unreplicated: string | undefined;
  #isClosed = false;

  constructor(addresses: readonly string[], events: ConnectionEvents) {
    this.#addresses = addresses;
    this.#events = events;
  }

  open(): void {
    void this.#connect();
  }

  /** Runs the statements on the connection with this number. Never throws. */
  async run(number: number, statements: readonly Statement[]): Promise<ConnectionAnswer> {
    const results: StatementResult[] = [];
    const client = this.#client;
    if (client === undefined || number !== this.#number) {
      const error = { message: 'the connection was lost', state: undefined };
      return { results, error, unreplicated: undefined };
    }
    this.#unreplicated = undefined;
    // Sent together. Within a transaction the server ignores all statements after one that fails.
    const answers = await Promise.allSettled(
      statements.map(({ text, values }) => {
        const query = values === undefined ? { text } : { text, values: [...values] };
        return client.query({ ...query, rowMode: 'array' });
      }),
    );
    for (const answer of answers) {
      if (answer.status === 'rejected') {
        const error = errorOf(answer.reason);
        // This server accepts no further writes, but another one may.
        if (error.state === READ_ONLY || SHUTDOWNS.includes(error.state ?? '')) this.abort(number);
        return { results, error, unreplicated: this.#unreplicated };
      }
      results.push(resultOf(answer.value));
    }
    return { results, error: undefined, unreplicated: this.#unreplicated };
  }

  /**
   * Ends the connection with this number without a goodbye, and makes a new one: to another server, if one of them is
   * a primary.
   */
  abort(number: number): void {
    if (number !== this.#number || this.#client === undefined) return;
    const client = this.#client;
    this.#first = (this.#first + 1) % this.#addresses.length;
    this.#lose(client);
    // This makes a statement fail that still waits for the server.
    destroy(client);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    const timer = setTimeout(() => destroy(client), CLOSE_LIMIT_MS);
    await client.end().catch(() => {});
    clearTimeout(timer);
  }

  #lose(client: pg.Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#events.onDisconnected();
    void this.#connect();
  }

  async #connect(): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !this.#isClosed; ) {
      const reasons: string[] = [];
      for (const index of this.#order()) {
        const address = this.#addresses[index] as string;
        try {
          const client = await connectTo(address);
          this.#first = index;
          return this.#use(client);
        } catch (error) {
          reasons.push(`${placeOf(address)}: ${messageOf(error)}`);
        }
      }
      this.#events.onUnreachable(reasons.join('; '));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS);
    }
  }

  #order(): number[] {
    const { length } = this.#addresses;
    return Array.from({ length }, (_, index) => (this.#first + index) % length);
  }

  #use(client: pg.Client): void {
    if (this.#isClosed) return destroy(client);
    client.on('notice', ({ routine, message }) => {
      if (routine === WAIT_FOR_STANDBY) this.#unreplicated = message;
    });
    client.on('error', () => this.#lose(client));
    client.on('end', () => this.#lose(client));
    this.#client = client;
    this.#events.onConnected(++this.#number);
  }
}

/** @throws Error if there is no server, or only a standby */
async function connectTo(address: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: address,
    application_name: 'restic-manager',
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: TYPES,
  });
  // Without a listener, an error of a connection that is not used yet would end the thread.
  client.on('error', () => {});
  const timer = setTimeout(() => destroy(client), CONNECT_LIMIT_MS);
  try {
    await client.connect();
    const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby');
    if (rows[0]?.standby) throw new Error('is a standby, which cannot be written');
    return client;
  } catch (error) {
    destroy(client);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Closes the socket. `end` would first wait for the statements that are running. */
function destroy(client: pg.Client): void {
  (
    client as unknown as { connection: { stream: { destroy(): void } } }
  ).connection.stream.destroy();
}

function placeOf(address: string): string {
  const { host } = new URL(address);
  return decodeURIComponent(host);
}

function resultOf(result: pg.QueryArrayResult | pg.QueryArrayResult[]): StatementResult {
  const last = Array.isArray(result) ? result.at(-1) : result;
  return { rows: last?.rows ?? [], command: last?.command ?? '', count: last?.rowCount ?? 0 };
}

function errorOf(error: unknown): StatementError {
  const state =
    error instanceof pg.DatabaseError && error.code !== undefined ? error.code : undefined;
  return { message: messageOf(error), state };
}
