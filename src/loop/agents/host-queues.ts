import { MAX_IN_STORE, MAX_UNANSWERED } from './limits.ts';

interface HostQueue {
  /** Operations that the store works on. */
  inStore: number;
  /** Starts the next ones, oldest first. */
  readonly waiting: (() => void)[];
}

/**
 * Gives each host its share of the store. A host that sends faster than the store can write has some operations
 * there; the others wait here, so that those of other hosts do not wait behind all of them. Hosts that wait for
 * nothing take no memory.
 */
export class HostQueues {
  readonly #byHost = new Map<string, HostQueue>();

  get isEmpty(): boolean {
    return this.#byHost.size === 0;
  }

  /** Whether the host has as many operations without an answer as it may have. */
  isFull(hostId: string): boolean {
    const queue = this.#byHost.get(hostId);
    return queue !== undefined && queue.inStore + queue.waiting.length >= MAX_UNANSWERED;
  }

  /**
   * Runs `operation` when it is the host's turn; the host's operations begin in the order of the calls. Whoever
   * calls this calls `settled` when the operation was answered.
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

  /** One of the host's operations was answered. */
  settled(hostId: string): void {
    const queue = this.#byHost.get(hostId);
    if (queue === undefined) return;
    // The next one takes this one's place.
    const next = queue.waiting.shift();
    if (next) next();
    else if (--queue.inStore === 0) this.#byHost.delete(hostId);
  }
}
