import type { MessagePort } from 'node:worker_threads';
import {
  type Answer,
  CONNECTIONS_PER_LOOP,
  type Disconnect,
  type FinishedJob,
  type Operation,
  type OperationName,
  type Outcome,
  type Request,
  type StoreMessage,
  type TokenChanges,
} from '../../contract/operations.ts';
import { type ErrorCode, RmError } from '../../errors.ts';
import type { StatsWriter } from '../../shared/server-stats.ts';

/** Number of unanswered operations at which the loop pauses reading its sockets. */
const MAX_UNANSWERED_PER_LOOP = 4_096;
/** Upper bound of that pause, so that a store that hangs does not hang the loop, too. */
const MAX_BLOCK_MS = 100;
/** Number of settled operations that are cut off from the front of the list at once. */
const TRIM_AT = 4_096;

/**
 * What a thread needs to talk to the store. When it is sent to another thread, `port` must be in
 * the transfer list.
 */
export interface StoreLink {
  readonly loop: number;
  readonly port: MessagePort;
  readonly progress: Int32Array;
  /** The number of the next connection of any loop. */
  readonly nextConnection: BigInt64Array;
}

interface Pending {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: RmError) => void;
}

/**
 * The client of the store thread in one loop. The operations of one turn of the loop are sent as
 * one message, and the store answers operations in their order.
 */
export class StoreClient {
  /** Called when the store wants a connection of this loop closed. */
  onDisconnect: (disconnect: Disconnect) => void = () => {};
  /** Called with the ids of hosts whose token is no longer valid. */
  onTokensRevoked: (hostIds: ReadonlySet<string>) => void = () => {};
  /** Called with jobs to observe whose agents have already got an answer. */
  onFinished: (finished: readonly FinishedJob[]) => void = () => {};
  readonly loop: number;
  /** Resolves when the store has sent the tokens of all enrolled hosts. */
  readonly ready: Promise<void>;
  readonly #hostByTokenDigest = new Map<string, string>();
  readonly #port: MessagePort;
  readonly #progress: Int32Array;
  readonly #nextConnection: BigInt64Array;
  #outgoing: Operation[] = [];
  readonly #pending: Pending[] = [];
  readonly #stats: StatsWriter | undefined;
  /** How many of `#pending`, from the front, are settled. */
  #settled = 0;
  #sent = 0;
  #closed = false;

  /** @param stats counters of this thread */
  constructor({ loop, port, progress, nextConnection }: StoreLink, stats?: StatsWriter) {
    this.#nextConnection = nextConnection;
    this.#stats = stats;
    this.loop = loop;
    this.#port = port;
    this.#progress = progress;
    this.ready = new Promise((resolve) => {
      port.on('message', (message: StoreMessage) => {
        if ('outcomes' in message) this.#settleAll(message.outcomes);
        else if ('disconnect' in message) this.onDisconnect(message.disconnect);
        else if ('finished' in message) this.onFinished(message.finished);
        else {
          this.#applyTokenChanges(message.tokenChanges);
          resolve();
        }
      });
    });
  }

  /**
   * Returns the id of the host whose token has this SHA-256, as far as this loop knows. For a host
   * that another process has just enrolled, only the operation `authenticate` may know it.
   */
  hostOfToken(tokenDigest: Buffer): string | undefined {
    return this.#hostByTokenDigest.get(tokenDigest.toString('latin1'));
  }

  /**
   * Returns the number of a new connection. Its order is higher than that of any earlier connection
   * of any loop; see {@link CONNECTIONS_PER_LOOP}.
   */
  numberConnection(): number {
    return this.loop * CONNECTIONS_PER_LOOP + Number(Atomics.add(this.#nextConnection, 0, 1n));
  }

  /**
   * Sends an operation to the store, at the end of this turn of the loop.
   * @returns the answer. An operation that changes something is on disk by then.
   * @throws RmError `database_failed` and errors of the operation itself, if nothing was changed;
   * `closed` if the store ended before it answered; the change may or may not have been made
   */
  submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>> {
    if (this.#closed) return Promise.reject(new RmError('closed', 'the store is closed'));
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push([name, request] as unknown as Operation);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
  }

  /** Resolves when the store has answered all operations submitted so far. */
  async idle(): Promise<void> {
    while (this.#settled < this.#pending.length && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  close(): void {
    this.#closed = true;
    this.#port.close();
    const unanswered = this.#pending.splice(0).slice(this.#settled);
    this.#settled = 0;
    for (const { reject } of unanswered) reject(new RmError('closed', 'the store was closed'));
  }

  #applyTokenChanges({ removed, added }: TokenChanges): void {
    if (removed.length > 0) {
      const removedHosts = new Set(removed);
      this.onTokensRevoked(removedHosts);
      for (const [digest, hostId] of this.#hostByTokenDigest) {
        if (removedHosts.has(hostId)) this.#hostByTokenDigest.delete(digest);
      }
    }
    for (const [hostId, digest] of added) {
      this.#hostByTokenDigest.set(Buffer.from(digest).toString('latin1'), hostId);
    }
  }

  #flush(): void {
    if (this.#closed) return;
    this.#port.postMessage(this.#outgoing);
    this.#sent += this.#outgoing.length;
    this.#stats?.submitted(this.#outgoing.length);
    this.#outgoing = [];
    const totalAnswered = Atomics.load(this.#progress, 0);
    // The counter has 32 bits and may have wrapped. The difference is correct anyway.
    if (((this.#sent - totalAnswered) | 0) > MAX_UNANSWERED_PER_LOOP) {
      // Blocks on purpose. If the loop does not read, TCP slows the agents down. uWebSockets.js
      // cannot pause a WebSocket, and without any pause a slow store would fill the memory.
      Atomics.wait(this.#progress, 0, totalAnswered, MAX_BLOCK_MS);
    }
  }

  #settleAll(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const pending = this.#pending[this.#settled++];
      if ('answer' in outcome) pending?.resolve(outcome.answer as never);
      else {
        const { code, message } = outcome.failure;
        pending?.reject(new RmError(code as ErrorCode, message));
      }
    }
    // Answered operations are removed from the front of the array in bulk, because shifting each
    // one would be slow.
    if (this.#settled === this.#pending.length || this.#settled > TRIM_AT) {
      this.#pending.splice(0, this.#settled);
      this.#settled = 0;
    }
  }
}
