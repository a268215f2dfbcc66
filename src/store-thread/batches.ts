import { receiveMessageOnPort } from 'node:worker_threads';
import type { Answer, Operation, OperationName, Outcome } from '../contract/operations.ts';
import { errorCode } from '../errors.ts';
import type { StatsWriter } from '../shared/server-stats.ts';
import type { Administration } from './administration.ts';
import { Changes } from './changes.ts';
import type { Client, Clients } from './clients.ts';
import type { Engine, Failure } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import { applyReports, isReport, lockHosts, type Report } from './reports.ts';
import type { StoreHealth } from './store-health.ts';
import { UncertainCommits } from './uncertain-commits.ts';

/**
 * A transaction with this many operations takes no further message. A larger one would only delay
 * its acknowledgements.
 */
const BATCH_FULL_AT = 1_000;
/** How long the operations wait for another process to release its lock on the database. */
const LOCK_WAIT_MS = 4_000;
const LOCK_RETRY_MS = 10;

export interface BatchesOptions {
  readonly engine: Engine;
  readonly administration: Administration;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly clients: Clients;
  readonly health: StoreHealth;
  /** Undefined in a process that does not serve. */
  readonly stats: StatsWriter | undefined;
  /**
   * Called with the path of a database file that was deleted or replaced. The batches answer
   * nothing after that.
   */
  readonly onLost: (what: string) => void;
}

/** Minimum pause between two questions about uncertain commits. Each needs a commit, which may hang. */
const RESOLVE_PAUSE_MS = 1_000;

/**
 * Maximum number of unwritten goodbyes that are written before a transaction. After an outage of the database there may be
 * one for each host, and one transaction must not take too long.
 */
const GOODBYES_STEP = 1_000;

/** What one client sent in one turn of its loop. */
interface Message {
  readonly client: Client;
  readonly operations: readonly Operation[];
}

/**
 * Runs operations in transactions. The cost of a transaction is its fsync, so one transaction takes
 * the waiting operations of all clients. While another process holds the lock on the database, they
 * wait without blocking this thread.
 */
export class Batches {
  readonly #options: BatchesOptions;
  readonly #uncertain: UncertainCommits;
  #waiting: Message[] = [];
  #lockedSince: number | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #resolvedAt = Number.NEGATIVE_INFINITY;

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.#uncertain = new UncertainCommits(options.clients);
  }

  receive(client: Client, operations: readonly Operation[]): void {
    this.#waiting.push({ client, operations });
    if (this.#retry === undefined) this.#run();
    // The operations wait for the lock. A goodbye is shown at once anyway.
    else this.#showGoodbyes(operations);
  }

  /**
   * Runs `work`, for which no client waits, in a separate transaction.
   * @returns false if it failed; the caller may try again later
   */
  background(work: (changes: Changes) => void): boolean {
    if (this.#isClosed || this.#retry !== undefined) return false;
    const { engine, health } = this.#options;
    try {
      this.#transact(work);
    } catch (error) {
      const { kind, message } = engine.failure(error);
      if (kind === 'operation') health.defect(error);
      else if (kind === 'unavailable') health.failed(message);
      return false;
    }
    return !this.#isClosed;
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
    const lost = this.#options.engine.lost();
    if (lost === undefined || this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onLost(lost);
  }

  #run(): void {
    this.#retry = undefined;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const messages = this.#takeBatch();
      const operations = messages.flatMap((message) => message.operations);
      const outcomes = this.#commit(operations);
      if ('kind' in outcomes) {
        this.#waiting.unshift(...messages);
        return this.#waitForLock(outcomes);
      }
      this.#lockedSince = undefined;
      if (!this.#isClosed) this.#sendOutcomes(messages, outcomes);
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
      for (const { operations } of this.#waiting) this.#showGoodbyes(operations);
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
    this.#sendOutcomes(messages, this.#failAll(operations, failure));
  }

  /**
   * @returns the outcomes in the order of the operations, after their changes were committed and
   * published. If another process holds the lock, returns that failure; nothing was done then.
   */
  #commit(operations: readonly Operation[]): readonly Outcome[] | Failure {
    // Operations that only read need no write lock, so they must not wait for it or hold it.
    if (operations.every(([name]) => READS.includes(name))) {
      return this.#withFallback(operations, () => this.#apply(operations, new Changes()));
    }
    return this.#withFallback(operations, (onApplied) =>
      this.#transact((changes) => onApplied(this.#apply(operations, changes))),
    );
  }

  #withFallback(
    operations: readonly Operation[],
    work: (onApplied: (outcomes: Outcome[]) => Outcome[]) => Outcome[],
  ): readonly Outcome[] | Failure {
    let applied: readonly Outcome[] = [];
    try {
      const outcomes = work((outcomes) => {
        applied = outcomes;
        return outcomes;
      });
      this.#uncertain.noteCommitted(operations, outcomes);
      return outcomes;
    } catch (error) {
      const failure = this.#options.engine.failure(error);
      if (failure.kind === 'locked') return failure;
      if (failure.kind === 'operation') return this.#commitEach(operations);
      return this.#failUnavailable(operations, failure, applied);
    }
  }

  /** Runs each operation in a savepoint, so that one that fails does not undo the others. */
  #commitEach(operations: readonly Operation[]): readonly Outcome[] | Failure {
    const { engine, health } = this.#options;
    const applyOne = (operation: Operation, changes: Changes): Outcome[] => {
      const ownChanges = new Changes();
      try {
        const outcomes = engine.attempt(() => this.#apply([operation], ownChanges));
        changes.add(ownChanges);
        return outcomes;
      } catch (error) {
        const failure = engine.failure(error);
        if (failure.kind !== 'operation') throw error;
        // An error with a code is an answer that a rule intended.
        if (errorCode(error) === undefined) health.defect(error);
        return [{ failure }];
      }
    };
    let applied: readonly Outcome[] = [];
    try {
      const outcomes = this.#transact((changes) => {
        lockHosts(engine, operations.filter(isReport));
        applied = operations.flatMap((operation) => applyOne(operation, changes));
        return applied;
      });
      this.#uncertain.noteCommitted(operations, outcomes);
      return outcomes;
    } catch (error) {
      const failure = engine.failure(error);
      if (failure.kind === 'locked') return failure;
      return this.#failUnavailable(operations, failure, applied);
    }
  }

  /** @param applied the outcomes of the operations if their transaction was committed nevertheless */
  #failUnavailable(
    operations: readonly Operation[],
    failure: Failure,
    applied: readonly Outcome[],
  ): readonly Outcome[] {
    const { health } = this.#options;
    const dropped = failure.isUncertain ? this.#uncertain.add(operations, applied) : 0;
    if (dropped > 0) {
      health.defect(new Error(`${dropped} finished jobs may be missing in the job histogram`));
    }
    health.failed(failure.message);
    return this.#failAll(operations, failure);
  }

  /**
   * Applies administration before reports. The reports of a host that is removed in the same batch
   * are then answered with `gone`.
   */
  #apply(operations: readonly Operation[], changes: Changes): Outcome[] {
    const { engine, administration } = this.#options;
    const answers = new Map<Operation, Answer<OperationName>>();
    for (const operation of operations) {
      if (!isReport(operation)) answers.set(operation, administration.apply(operation, changes));
    }
    const reports = operations.filter(isReport);
    if (reports.length > 0) {
      const reported = applyReports(engine, reports, changes);
      for (const [index, report] of reports.entries()) answers.set(report, reported[index]);
    }
    return operations.map((operation) => ({ answer: answers.get(operation) }));
  }

  /**
   * Runs `work` in a transaction. Before that, it writes the goodbyes that could not be written before, in a
   * transaction of their own: a transaction must lock all its hosts at once, so that instances cannot deadlock.
   */
  #transact<T>(work: (changes: Changes) => T): T {
    const { engine, presence } = this.#options;
    const goodbyes = presence.unwritten.slice(0, GOODBYES_STEP);
    if (goodbyes.length > 0) {
      const reports = goodbyes.map((goodbye) => ['goodbye', goodbye] as const);
      this.#commitAndPublish((changes) => applyReports(engine, reports, changes));
      presence.noteWritten(goodbyes);
    }
    return this.#commitAndPublish(work);
  }

  /** Runs `work` in a transaction, and publishes the changes after the commit. */
  #commitAndPublish<T>(work: (changes: Changes) => T): T {
    const { engine, health, stats } = this.#options;
    const wasFailing = health.isFailing;
    const writtenBefore = wasFailing ? engine.rowsWritten() : 0;
    const startedAt = performance.now();
    const { result, changes } = engine.transaction(() => {
      const changes = new Changes();
      return { result: work(changes), changes };
    });
    stats?.commitDuration(performance.now() - startedAt);
    // A transaction that only reads also succeeds on a full disk, so it proves nothing.
    if (wasFailing && engine.rowsWritten() > writtenBefore) health.worked();
    this.checkFiles();
    if (!this.#isClosed) this.#publish(changes);
    return result;
  }

  /**
   * Never throws. Committed operations must be answered even if publishing fails: if an agent sent a
   * finish again, it would no longer be the first and the loop would not observe the job.
   */
  #publish(changes: Changes): void {
    try {
      this.#options.publisher.publish(changes);
    } catch (error) {
      this.#options.health.defect(error);
    }
  }

  /**
   * Fails all operations but goodbyes. The agent of a goodbye has left anyway, and `Presence`
   * remembers the goodbye until it can be written.
   */
  #failAll(
    operations: readonly Operation[],
    { code, message }: Pick<Failure, 'code' | 'message'>,
  ): readonly Outcome[] {
    this.#showGoodbyes(operations);
    return operations.map(([name]) =>
      name === 'goodbye' ? { answer: null } : { failure: { code, message } },
    );
  }

  #showGoodbyes(operations: readonly Operation[]): void {
    for (const [name, request] of operations) {
      if (name !== 'goodbye') continue;
      this.#options.publisher.showUnwrittenGoodbye(request.hostId, request.connection);
    }
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

const READS: readonly OperationName[] = [
  'authenticate',
  'areHostChangesApplied',
  'listHosts',
  'showHost',
];
