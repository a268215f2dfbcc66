import type { DatabaseSync } from 'node:sqlite';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { Answer, Operation, OperationName, Outcome } from '../contract/operations.ts';
import { errorCode } from '../errors.ts';
import type { StatsWriter } from '../shared/server-stats.ts';
import { Changes } from './changes.ts';
import type { Client, Clients } from './clients.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import { describeError, isBusy, isUnavailable, transaction } from './sqlite/database.ts';
import type { DatabaseFiles } from './sqlite/database-files.ts';
import type { FleetDatabase } from './sqlite/fleet-database.ts';
import type { StoreHealth } from './store-health.ts';

/** Operations in one transaction at the most: a longer one would only delay its acknowledgements. */
const BATCH_LIMIT = 1_000;
/** How long operations wait together for another process to release its lock on the database. */
const LOCK_WAIT_MS = 4_000;
const LOCK_RETRY_MS = 10;

export interface BatchesOptions {
  readonly db: DatabaseSync;
  readonly database: FleetDatabase;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly clients: Clients;
  readonly health: StoreHealth;
  /** Of a process that serves. */
  readonly serving:
    | {
        readonly stats: StatsWriter;
        readonly files: DatabaseFiles;
        /** Told the file; nothing is answered any more. */
        readonly onGone: (file: string) => void;
      }
    | undefined;
}

/** What one client sent in one turn of its loop. */
interface Message {
  readonly client: Client;
  readonly operations: readonly Operation[];
}

/**
 * Puts operations into transactions. What is waiting, of all clients, goes into one: an fsync is what costs. When
 * another process has the lock, all that is waiting waits together, without blocking this thread.
 */
export class Batches {
  readonly #options: BatchesOptions;
  #waiting: Message[] = [];
  #lockedSince: number | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: BatchesOptions) {
    this.#options = options;
  }

  receive(client: Client, operations: readonly Operation[]): void {
    if (this.#isClosed) return;
    this.#waiting.push({ client, operations });
    if (this.#retry === undefined) this.#run();
    else this.#showGoodbyes(operations);
  }

  /**
   * Runs `work`, which nobody waits for, in a transaction of its own.
   * @returns false if that cannot be done now
   */
  background(work: (changes: Changes) => void): boolean {
    if (this.#isClosed || this.#retry !== undefined) return false;
    const changes = new Changes();
    try {
      this.#transact(() => work(changes));
    } catch (error) {
      this.#options.database.jobs.forgetCounts();
      if (!isUnavailable(error)) this.#options.health.defect(error);
      else if (!isBusy(error)) this.#options.health.failed(describeError(error).message);
      return false;
    }
    if (!this.#isClosed) this.#options.publisher.publish(changes);
    return !this.#isClosed;
  }

  /** What still waits for a lock is given up: nobody was told that it is stored. */
  close(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#giveUp({ code: 'closed', message: 'the store was closed' });
    this.#isClosed = true;
  }

  #run(): void {
    this.#retry = undefined;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const messages = this.#take();
      const operations = messages.flatMap((message) => message.operations);
      let outcomes: readonly Outcome[];
      try {
        outcomes = this.#commit(operations);
      } catch (error) {
        if (!isBusy(error)) throw error;
        this.#waiting.unshift(...messages);
        return this.#waitForLock(error);
      }
      this.#lockedSince = undefined;
      if (!this.#isClosed) this.#answer(messages, outcomes);
    }
  }

  /** Some of what is waiting, here and in the ports; whole messages. */
  #take(): Message[] {
    const messages: Message[] = [];
    let count = 0;
    while (count < BATCH_LIMIT) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      messages.push(message);
      count += message.operations.length;
    }
    for (const client of this.#options.clients) {
      while (count < BATCH_LIMIT) {
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

  #waitForLock(error: unknown): void {
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
    const failure = describeError(error);
    this.#options.health.failed(failure.message);
    this.#giveUp(failure);
  }

  #giveUp(failure: { code: string; message: string }): void {
    const messages = this.#waiting;
    this.#waiting = [];
    const operations = messages.flatMap((message) => message.operations);
    this.#answer(messages, this.#failAll(operations, failure));
  }

  /**
   * @returns outcomes in the order of the operations; what they answer is on disk and in the fleet table
   * @throws Error of SQLite if another process has the lock; nothing was done then
   */
  #commit(operations: readonly Operation[]): readonly Outcome[] {
    const { database, publisher, health } = this.#options;
    const changes = new Changes();
    const run = operations.every(([name]) => READS.includes(name)) ? read : this.#transact;
    let outcomes: readonly Outcome[];
    try {
      outcomes = run(() =>
        operations.map((operation) => ({ answer: this.#apply(operation, changes) })),
      );
    } catch (error) {
      database.jobs.forgetCounts();
      if (isBusy(error)) throw error;
      if (!isUnavailable(error)) return this.#commitEach(operations);
      const failure = describeError(error);
      health.failed(failure.message);
      return this.#failAll(operations, failure);
    }
    if (!this.#isClosed) publisher.publish(changes);
    return outcomes;
  }

  /** So that an operation that cannot be done does not take its neighbours with it. */
  #commitEach(operations: readonly Operation[]): readonly Outcome[] {
    const { db, database, publisher, health } = this.#options;
    const allChanges: Changes[] = [];
    const applyOne = (operation: Operation): Outcome => {
      const changes = new Changes();
      db.exec('SAVEPOINT operation');
      try {
        const answer = this.#apply(operation, changes);
        db.exec('RELEASE operation');
        allChanges.push(changes);
        return { answer };
      } catch (error) {
        database.jobs.forgetCounts();
        if (isUnavailable(error)) throw error;
        if (errorCode(error) === undefined) health.defect(error);
        db.exec('ROLLBACK TO operation; RELEASE operation');
        return { failure: describeError(error) };
      }
    };
    let outcomes: readonly Outcome[];
    try {
      outcomes = this.#transact(() => operations.map(applyOne));
    } catch (error) {
      database.jobs.forgetCounts();
      if (isBusy(error)) throw error;
      const failure = describeError(error);
      health.failed(failure.message);
      return this.#failAll(operations, failure);
    }
    if (!this.#isClosed) for (const changes of allChanges) publisher.publish(changes);
    return outcomes;
  }

  #apply([name, request]: Operation, changes: Changes): Answer<OperationName> {
    // Name and request belong together by the type of Operation, which a look-up by name loses.
    const handler = this.#options.database.handlers[name] as (
      request: unknown,
      changes: Changes,
    ) => Answer<OperationName>;
    return handler(request, changes);
  }

  /** A transaction, with the goodbyes that could not be written before. */
  readonly #transact = <T>(work: () => T): T => {
    const { db, database, presence, health, serving } = this.#options;
    const goodbyes = presence.unwritten;
    const wasFailing = health.isFailing;
    const writtenBefore = wasFailing ? rowsWritten(db) : 0;
    const startedAt = performance.now();
    const result = transaction(db, () => {
      for (const { hostId, connection, atMs } of goodbyes) {
        database.writeGoodbye(hostId, connection, atMs);
      }
      return work();
    });
    serving?.stats.commitDuration(performance.now() - startedAt);
    if (goodbyes.length > 0) presence.noteWritten(goodbyes);
    // A transaction that only reads succeeds on a full disk, too.
    if (wasFailing && rowsWritten(db) > writtenBefore) health.worked();
    this.checkFiles();
    return result;
  };

  /** What was written to a file that is gone is lost, so it must not be acknowledged. */
  checkFiles(): void {
    const gone = this.#options.serving?.files.changed();
    if (gone === undefined || this.#isClosed) return;
    this.#isClosed = true;
    this.#options.serving?.onGone(gone);
  }

  /** A goodbye never fails: the agent has left, and the database will be told. */
  #failAll(
    operations: readonly Operation[],
    failure: { code: string; message: string },
  ): readonly Outcome[] {
    this.#showGoodbyes(operations);
    return operations.map(([name]) => (name === 'goodbye' ? { answer: null } : { failure }));
  }

  #showGoodbyes(operations: readonly Operation[]): void {
    for (const [name, request] of operations) {
      if (name !== 'goodbye') continue;
      this.#options.publisher.showUnwrittenGoodbye(request.hostId, request.connection);
    }
  }

  #answer(messages: readonly Message[], outcomes: readonly Outcome[]): void {
    const { clients, serving } = this.#options;
    let start = 0;
    for (const { client, operations } of messages) {
      const end = start + operations.length;
      clients.settle(client, outcomes.slice(start, end));
      start = end;
    }
    serving?.stats.answered(start);
  }
}

/** These only read. They run without the lock for writing, so they do not delay operations that need it. */
const READS: readonly OperationName[] = ['authenticate', 'isFollowed', 'listHosts'];

function read<T>(work: () => T): T {
  return work();
}

function rowsWritten(db: DatabaseSync): number {
  return Number(db.prepare('SELECT total_changes() AS rows').get()?.rows);
}
