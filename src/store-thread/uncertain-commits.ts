import type { FinishedJob, Operation, Outcome } from '../contract/operations.ts';
import type { Clients } from './clients.ts';
import { type JobName, jobKey } from './rows.ts';

/** Maximum number of finishes in memory. Beyond it the oldest are dropped. */
export const MAX_UNCERTAIN = 100_000;
/** Maximum number of finishes that one question to the database names. */
const STEP = 1_000;

/** A finish that is counted if the transaction that stored it was committed. */
export interface UncertainFinish extends JobName {
  readonly job: FinishedJob;
}

/**
 * The first finishes in transactions for which the store does not know whether they were committed, for example because
 * it lost the connection to the database during the commit. Their operations have failed for the agents. If such a
 * transaction was committed, its jobs are stored, and an agent that repeats a finish gets the answer for a repetition.
 * So a loop observes these jobs as soon as the database says that this process has stored their finish.
 */
export class UncertainCommits {
  readonly #clients: Clients;
  /** In the order of the last question about them. */
  readonly #finishes = new Map<string, UncertainFinish>();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  /**
   * @param outcomes the outcomes of the operations if the transaction was committed, in their order
   * @returns number of finishes that were dropped because there are too many
   */
  add(operations: readonly Operation[], outcomes: readonly Outcome[]): number {
    for (const finish of firstFinishes(operations, outcomes)) {
      this.#finishes.set(jobKey(finish.hostId, finish.jobId), finish);
    }
    const excess = Math.max(0, this.#finishes.size - MAX_UNCERTAIN);
    for (const key of [...this.#finishes.keys()].slice(0, excess)) this.#finishes.delete(key);
    return excess;
  }

  /**
   * To be called after each commit: if a finish is the first one of its job now, an uncertain transaction has not
   * stored it.
   */
  noteCommitted(operations: readonly Operation[], outcomes: readonly Outcome[]): void {
    if (this.#finishes.size === 0) return;
    for (const { hostId, jobId } of firstFinishes(operations, outcomes)) {
      this.#finishes.delete(jobKey(hostId, jobId));
    }
  }

  /** Some finishes to ask the database about; empty if none is uncertain. */
  next(): readonly UncertainFinish[] {
    return [...this.#finishes.values()].slice(0, STEP);
  }

  /** @param stored for each finish, whether this process has stored it; undefined if that is still unknown */
  resolve(finishes: readonly UncertainFinish[], stored: readonly (boolean | undefined)[]): void {
    const found: FinishedJob[] = [];
    for (const [index, finish] of finishes.entries()) {
      const key = jobKey(finish.hostId, finish.jobId);
      this.#finishes.delete(key);
      if (stored[index] === undefined) this.#finishes.set(key, finish);
      else if (stored[index]) found.push(finish.job);
    }
    if (found.length > 0) this.#clients.observe(found);
  }
}

function firstFinishes(
  operations: readonly Operation[],
  outcomes: readonly Outcome[],
): UncertainFinish[] {
  return operations.flatMap((operation, index) => {
    const finish = firstFinish(operation, outcomes[index]);
    return finish === undefined ? [] : [finish];
  });
}

function firstFinish(
  operation: Operation,
  outcome: Outcome | undefined,
): UncertainFinish | undefined {
  if (operation[0] !== 'finishJob' || outcome === undefined || !('answer' in outcome))
    return undefined;
  const { answer } = outcome;
  if (typeof answer !== 'object' || answer === null || !('first' in answer)) return undefined;
  if (!answer.first) return undefined;
  const { hostId, jobId, status } = operation[1];
  return { hostId, jobId, job: { kind: answer.kind, status, durationMs: answer.durationMs } };
}
