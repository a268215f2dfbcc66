import type { MessagePort } from 'node:worker_threads';
import {
  type Answer,
  CONNECTIONS_PER_LOOP,
  type Disconnect,
  type Enrolments,
  type Operation,
  type OperationName,
  type Outcome,
  type Request,
  type StoreMessage,
} from '../../contract/operations.ts';
import { type ErrorCode, RmError } from '../../errors.ts';
import type { StatsWriter } from '../../shared/server-stats.ts';

/** Unanswered operations at which a loop stops reading its sockets for a moment. */
const HIGH_WATER = 4_096;
/** And for how long at the most, so that a store that hangs does not hang the loop with it. */
const WAIT_MS = 100;

/** What another thread needs to talk to the store: transfer `port` with it. */
export interface StoreLink {
  readonly loop: number;
  readonly port: MessagePort;
  readonly progress: Int32Array;
  /** Counts the connections of all loops. */
  readonly connections: BigInt64Array;
}

interface Pending {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: RmError) => void;
}

/**
 * One loop's line to the store. Operations of one turn of the loop travel as one message, and answers
 * come back in their order.
 */
export class StoreClient {
  /** Told to close a connection of this loop. */
  onDisconnect: (disconnect: Disconnect) => void = () => {};
  /** Told the hosts whose tokens are not good any more. */
  onRevoked: (hostIds: ReadonlySet<string>) => void = () => {};
  readonly loop: number;
  /** Resolves when every enrolled host is known here. */
  readonly ready: Promise<void>;
  readonly #hostByTokenDigest = new Map<string, string>();
  readonly #port: MessagePort;
  readonly #progress: Int32Array;
  readonly #connections: BigInt64Array;
  #outgoing: Operation[] = [];
  readonly #pending: Pending[] = [];
  readonly #stats: StatsWriter | undefined;
  #answered = 0;
  #sent = 0;
  #closed = false;

  /** @param stats of this thread, to count what is submitted */
  constructor({ loop, port, progress, connections }: StoreLink, stats?: StatsWriter) {
    this.#connections = connections;
    this.#stats = stats;
    this.loop = loop;
    this.#port = port;
    this.#progress = progress;
    this.ready = new Promise((resolve) => {
      port.on('message', (message: StoreMessage) => {
        if ('outcomes' in message) this.#settle(message.outcomes);
        else if ('disconnect' in message) this.onDisconnect(message.disconnect);
        else {
          this.#enrol(message.enrolments);
          resolve();
        }
      });
    });
  }

  /**
   * The host whose token has this SHA-256, from this loop's own memory. A host that another process has
   * enrolled a moment ago may only be known to the operation `authenticate`.
   */
  hostOfToken(tokenDigest: Buffer): string | undefined {
    return this.#hostByTokenDigest.get(tokenDigest.toString('latin1'));
  }

  /** The number of a connection that is newer than all others, of all loops. */
  numberConnection(): number {
    return this.loop * CONNECTIONS_PER_LOOP + Number(Atomics.add(this.#connections, 0, 1n));
  }

  /**
   * @returns the answer, once what it says is on disk
   * @throws RmError `database_failed` and what the operation itself throws; nothing was changed then
   */
  submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>> {
    if (this.#closed) return Promise.reject(new RmError('closed', 'the store is closed'));
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push([name, request] as unknown as Operation);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
  }

  /** Resolves when everything submitted so far was answered. */
  async idle(): Promise<void> {
    while (this.#answered < this.#pending.length && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  close(): void {
    this.#closed = true;
    this.#port.close();
    const unanswered = this.#pending.splice(0).slice(this.#answered);
    this.#answered = 0;
    for (const { reject } of unanswered) reject(new RmError('closed', 'the store was closed'));
  }

  #enrol({ removed, added }: Enrolments): void {
    if (removed.length > 0) {
      const gone = new Set(removed);
      this.onRevoked(gone);
      for (const [digest, hostId] of this.#hostByTokenDigest) {
        if (gone.has(hostId)) this.#hostByTokenDigest.delete(digest);
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
    const answered = Atomics.load(this.#progress, 0);
    // The count is 32 bits wide and may have wrapped; the difference is right all the same.
    if (((this.#sent - answered) | 0) > HIGH_WATER) {
      // Blocking on purpose: a loop that does not read is what slows the agents' sockets down. uWS has
      // no other way, and without one a store that lags would fill the memory.
      Atomics.wait(this.#progress, 0, answered, WAIT_MS);
    }
  }

  #settle(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const pending = this.#pending[this.#answered++];
      if ('answer' in outcome) pending?.resolve(outcome.answer as never);
      else {
        const { code, message } = outcome.failure;
        pending?.reject(new RmError(code as ErrorCode, message));
      }
    }
    // Answers arrive from the front: cut off once in a while instead of shifting each.
    if (this.#answered === this.#pending.length || this.#answered > HIGH_WATER) {
      this.#pending.splice(0, this.#answered);
      this.#answered = 0;
    }
  }
}
