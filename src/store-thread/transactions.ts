import type { Answer, Operation, OperationName, Outcome } from '../contract/operations.ts';
import { errorCode } from '../errors.ts';
import type { StatsWriter } from '../shared/server-stats.ts';
import type { Administration } from './administration.ts';
import { Changes } from './changes.ts';
import type { Engine, Failure } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import { applyReports, isReport, lockHosts } from './reports.ts';
import type { StoreHealth } from './store-health.ts';
import type { UncertainCommits } from './uncertain-commits.ts';

/**
 * Maximum number of unwritten goodbyes that are written before a transaction. After an outage of the database there may be
 * one for each host, and one transaction must not take too long.
 */
const GOODBYES_STEP = 1_000;

export interface TransactionsOptions {
  readonly engine: Engine;
  readonly administration: Administration;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly health: StoreHealth;
  /** Undefined in a process that does not serve. */
  readonly stats: StatsWriter | undefined;
  /** Called with the path of a database file that was deleted or replaced. Nothing may be answered after that. */
  readonly onLost: (what: string) => void;
}

/** Runs operations in transactions of the database, and publishes what they have changed. */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #uncertain: UncertainCommits;
  #isLost = false;

  constructor(options: TransactionsOptions, uncertain: UncertainCommits) {
    this.#options = options;
    this.#uncertain = uncertain;
  }

  /** Whether a database file was deleted or replaced. What was committed since may be lost. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Looks whether a database file was deleted or replaced. */
  checkFiles(): void {
    const lost = this.#options.engine.lost();
    if (lost === undefined || this.#isLost) return;
    this.#isLost = true;
    this.#options.onLost(lost);
  }

  /**
   * @returns the outcomes in the order of the operations, after their changes were committed and
   * published. If another process holds the lock, returns that failure; nothing was done then.
   */
  commit(operations: readonly Operation[]): readonly Outcome[] | Failure {
    // Operations that only read need no write lock, so they must not wait for it or hold it.
    if (operations.every(([name]) => READS.includes(name))) {
      return this.#withFallback(operations, () => this.#apply(operations, new Changes()));
    }
    return this.#withFallback(operations, (onApplied) =>
      this.run((changes) => onApplied(this.#apply(operations, changes))),
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
      const outcomes = this.run((changes) => {
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
    return this.failAll(operations, failure);
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
  run<T>(work: (changes: Changes) => T): T {
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
    if (!this.#isLost) this.#publish(changes);
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
  failAll(
    operations: readonly Operation[],
    { code, message }: Pick<Failure, 'code' | 'message'>,
  ): readonly Outcome[] {
    this.showGoodbyes(operations);
    return operations.map(([name]) =>
      name === 'goodbye' ? { answer: null } : { failure: { code, message } },
    );
  }

  showGoodbyes(operations: readonly Operation[]): void {
    for (const [name, request] of operations) {
      if (name !== 'goodbye') continue;
      this.#options.publisher.showUnwrittenGoodbye(request.hostId, request.connection);
    }
  }
}

const READS: readonly OperationName[] = [
  'authenticate',
  'areHostChangesApplied',
  'listHosts',
  'showHost',
];
