import { receiveMessageOnPort } from 'node:worker_threads';
import type { Operation, Outcome } from '../contract/operations.ts';
import type { Changes } from './changes.ts';
import type { Client, Clients } from './clients.ts';
import type { Failure } from './engine.ts';
import { applyReports, type Report } from './reports.ts';
import { Transactions, type TransactionsOptions } from './transactions.ts';
import { UncertainCommits } from './uncertain-commits.ts';

/**
 * A transaction with this many operations takes no further message. A larger one would only delay
 * its acknowledgements.
 */
const BATCH_FULL_AT = 1_000;
/** How long the operations wait for another process to release its lock on the database. */
const LOCK_WAIT_MS = 4_000;
const LOCK_RETRY_MS = 10;

/** Minimum pause between two questions about uncertain commits. Each needs a commit, which may hang. */
const RESOLVE_PAUSE_MS = 1_000;

export interface BatchesOptions extends TransactionsOptions {
  readonly clients: Clients;
}

/** What one client sent in one turn of its loop. */
interface Message {
  readonly client: Client;
  readonly operations: readonly Operation[];
}

/**
 * Collects operations for transactions. The cost of a transaction is its fsync, so one transaction takes
 * the waiting operations of all clients. While another process holds the lock on the database, they
 * wait without blocking this thread.
 */
export class Batches {
  readonly #options: BatchesOptions;
  readonly #uncertain: UncertainCommits;
  readonly #transactions: Transactions;
  #waiting: Message[] = [];
  #lockedSince: number | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #resolvedAt = Number.NEGATIVE_INFINITY;

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.#uncertain = new UncertainCommits(options.clients);
    this.#transactions = new Transactions(options, this.#uncertain);
  }

  receive(client: Client, operations: readonly Operation[]): void {
    this.#waiting.push({ client, operations });
    if (this.#retry === undefined) this.#run();
    // The operations wait for the lock. A goodbye is shown at once anyway.
    else this.#transactions.showGoodbyes(operations);
  }

  /**
   * Runs `work`, for which no client waits, in a separate transaction.
   * @returns false if it failed; the caller may try again later
   */
  background(work: (changes: Changes) => void): boolean {
    if (this.#isOver || this.#retry !== undefined) return false;
    const { engine, health } = this.#options;
    try {
      this.#transactions.run(work);
    } catch (error) {
      const { kind, message } = engine.failure(error);
      if (kind === 'operation') health.defect(error);
      else if (kind === 'unavailable') health.failed(message);
      return false;
    }
    return !this.#isOver;
  }

  /**
   * Applies reports of the store itself, for which no client waits. Returns the same as
   * `background`.
   */
  report(reports: readonly Report[]): boolean {
    return this.background((changes) => applyReports(this.#options.engine, reports, changes));
  }

  /** Fails the operations that wait for a lock. None of them was acknowledged. */
  close(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#giveUp({ code: 'closed', message: 'the store was closed' });
    this.#isClosed = true;
  }

  /** Asks the database about uncertain commits. To be called when it can be reached. */
  resolveUncertain(): void {
    const finishes = this.#uncertain.next();
    if (finishes.length === 0) return;
    const now = performance.now();
    if (now - this.#resolvedAt < RESOLVE_PAUSE_MS) return;
    this.#resolvedAt = now;
    let stored: readonly (boolean | undefined)[] = [];
    const isDone = this.background(() => {
      stored = this.#options.engine.haveFinished(finishes);
    });
    if (isDone) this.#uncertain.resolve(finishes, stored);
  }

  /**
   * Stops if a database file was deleted or replaced. Data written to such a file is lost, so it
   * must not be acknowledged.
   */
  checkFiles(): void {
    if (!this.#isClosed) this.#transactions.checkFiles();
  }

  /** Whether nothing may be answered any more. */
  get #isOver(): boolean {
    return this.#isClosed || this.#transactions.isLost;
  }

  #run(): void {
    this.#retry = undefined;
    while (this.#waiting.length > 0 && !this.#isOver) {
      const messages = this.#takeBatch();
      const operations = messages.flatMap((message) => message.operations);
      const outcomes = this.#transactions.commit(operations);
      if ('kind' in outcomes) {
        this.#waiting.unshift(...messages);
        return this.#waitForLock(outcomes);
      }
      this.#lockedSince = undefined;
      if (!this.#isOver) this.#sendOutcomes(messages, outcomes);
    }
  }

  /** Takes whole messages from the queue and then from the ports, until the batch is full. */
  #takeBatch(): Message[] {
    const messages: Message[] = [];
    let count = 0;
    while (count < BATCH_FULL_AT) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      messages.push(message);
      count += message.operations.length;
    }
    for (const client of this.#options.clients) {
      while (count < BATCH_FULL_AT) {
        const next: { message: readonly Operation[] } | undefined = receiveMessageOnPort(
          client.port,
        );
        if (next === undefined) break;
        messages.push({ client, operations: next.message });
        count += next.message.length;
      }
    }
    return messages;
  }

  #waitForLock(failure: Failure): void {
    const now = performance.now();
    if (this.#lockedSince === undefined) {
      this.#lockedSince = now;
      for (const { operations } of this.#waiting) this.#transactions.showGoodbyes(operations);
    }
    if (now - this.#lockedSince < LOCK_WAIT_MS) {
      this.#retry = setTimeout(() => this.#run(), LOCK_RETRY_MS);
      return;
    }
    this.#lockedSince = undefined;
    this.#options.health.failed(failure.message);
    this.#giveUp(failure);
  }

  #giveUp(failure: Pick<Failure, 'code' | 'message'>): void {
    const messages = this.#waiting;
    this.#waiting = [];
    const operations = messages.flatMap((message) => message.operations);
    this.#sendOutcomes(messages, this.#transactions.failAll(operations, failure));
  }

  #sendOutcomes(messages: readonly Message[], outcomes: readonly Outcome[]): void {
    const { clients, stats } = this.#options;
    // Counted first: an agent that has its answer must not see its operation among the pending ones.
    stats?.answered(outcomes.length);
    let start = 0;
    for (const { client, operations } of messages) {
      const end = start + operations.length;
      clients.settle(client, outcomes.slice(start, end));
      start = end;
    }
  }
}
