import type { FinishedJob, Operation, Outcome } from '../contract/operations.ts';
import type { Clients } from './clients.ts';
import type { Engine } from './engine.ts';

/** Maximum number of commits in memory. Beyond it the oldest is dropped. */
const MAX_REMEMBERED = 1_000;

interface UncertainCommit {
  /** Id of the transaction, for `isCommitted` of the engine. */
  readonly id: string;
  /** The jobs whose first finish it stored, if it was committed. */
  readonly finished: readonly FinishedJob[];
}

/**
 * Transactions for which the store does not know whether they were committed, because it lost the
 * connection to the database during the commit. Their operations have failed for the agents. If such a
 * transaction was committed, its jobs are stored, and an agent that repeats a finish gets the answer for a
 * repetition. So a loop observes these jobs as soon as the database answers.
 */
export class UncertainCommits {
  readonly #engine: Engine;
  readonly #clients: Clients;
  #commits: UncertainCommit[] = [];

  constructor(engine: Engine, clients: Clients) {
    this.#engine = engine;
    this.#clients = clients;
  }

  /** @param outcomes the outcomes of the operations if the transaction was committed, in their order */
  add(id: string, operations: readonly Operation[], outcomes: readonly Outcome[]): void {
    const finished = operations.flatMap((operation, index) => {
      const job = firstFinish(operation, outcomes[index]);
      return job === undefined ? [] : [job];
    });
    if (finished.length === 0) return;
    this.#commits.push({ id, finished });
    if (this.#commits.length > MAX_REMEMBERED) this.#commits.shift();
  }

  /** Asks the database about each transaction. To be called when it can be reached again. */
  resolve(): void {
    for (const commit of [...this.#commits]) {
      const isCommitted = this.#engine.isCommitted(commit.id);
      if (isCommitted === undefined) continue;
      this.#commits = this.#commits.filter((other) => other !== commit);
      if (isCommitted) this.#clients.observe(commit.finished);
    }
  }
}

function firstFinish(operation: Operation, outcome: Outcome | undefined): FinishedJob | undefined {
  if (operation[0] !== 'finishJob' || outcome === undefined || !('answer' in outcome))
    return undefined;
  const { answer } = outcome;
  if (typeof answer !== 'object' || answer === null || !('first' in answer)) return undefined;
  if (!answer.first) return undefined;
  return { kind: answer.kind, status: operation[1].status, durationMs: answer.durationMs };
}
