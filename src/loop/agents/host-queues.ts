import { MAX_IN_STORE, MAX_UNANSWERED } from './limits.ts';

interface HostQueue {
  /** Number of operations that were submitted to the store and not answered. */
  inStore: number;
  /** Functions that submit the waiting operations, oldest first. */
  readonly waiting: (() => void)[];
}

/**
 * Limits the operations that each host has in the store at the same time. Further operations of that host
 * wait here, so that the operations of other hosts do not wait behind them. A host without unanswered
 * operations takes no memory.
 */
export class HostQueues {
  readonly #byHost = new Map<string, HostQueue>();

  get isEmpty(): boolean {
    return this.#byHost.size === 0;
  }

  /** Returns whether the host has reached its limit of unanswered operations. */
  isFull(hostId: string): boolean {
    const queue = this.#byHost.get(hostId);
    return queue !== undefined && queue.inStore + queue.waiting.length >= MAX_UNANSWERED;
  }

  /**
   * Calls `operation` as soon as the host has room in the store. The operations of a host start in the
   * order of these calls. The caller must call `settled` when the operation was answered or failed.
   */
  run(hostId: string, operation: () => void): void {
    let queue = this.#byHost.get(hostId);
    if (queue === undefined) {
      queue = { inStore: 0, waiting: [] };
      this.#byHost.set(hostId, queue);
    }
    if (queue.inStore >= MAX_IN_STORE) return void queue.waiting.push(operation);
    queue.inStore++;
    operation();
  }

  /** To be called when an operation of the host was answered or failed. */
  settled(hostId: string): void {
    const queue = this.#byHost.get(hostId);
    if (queue === undefined) return;
    // A waiting operation takes the place of the settled one, so `inStore` stays the same.
    const next = queue.waiting.shift();
    if (next) next();
    else if (--queue.inStore === 0) this.#byHost.delete(hostId);
  }
}
