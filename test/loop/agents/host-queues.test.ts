import { beforeEach, describe, expect, it } from 'vitest';
import { HostQueues } from '../../../src/loop/agents/host-queues.ts';
import { MAX_IN_STORE, MAX_UNANSWERED } from '../../../src/loop/agents/limits.ts';

let queues: HostQueues;
let begun: string[];

beforeEach(() => {
  queues = new HostQueues();
  begun = [];
});

/** A host sends so many messages. */
function send(host: string, count: number): void {
  for (let n = 0; n < count; n++) queues.run(host, () => void begun.push(`${host} ${n}`));
}

describe('a host that sends faster than the store can write', () => {
  it('has its share in the store, and the rest begins as that is answered, in its order', () => {
    send('loud', MAX_IN_STORE + 3);
    expect(begun).toHaveLength(MAX_IN_STORE);
    for (let n = 0; n < 3; n++) queues.settled('loud');
    expect(begun.slice(MAX_IN_STORE)).toEqual([0, 1, 2].map((n) => `loud ${MAX_IN_STORE + n}`));
  });

  it('does not keep another one waiting', () => {
    send('loud', MAX_UNANSWERED);
    send('quiet', 1);
    expect(begun.at(-1)).toBe('quiet 0');
  });

  it('is full at the limit, those in the store counted, and only that host', () => {
    send('loud', MAX_UNANSWERED - 1);
    expect(queues.isFull('loud')).toBe(false);
    send('loud', 1);
    expect(queues.isFull('loud')).toBe(true);
    expect(queues.isFull('quiet')).toBe(false);
    queues.settled('loud');
    expect(queues.isFull('loud')).toBe(false);
  });

  it('takes no memory when all is answered', () => {
    send('loud', 2 * MAX_IN_STORE);
    send('quiet', 1);
    for (let n = 0; n < 2 * MAX_IN_STORE; n++) {
      expect(queues.isEmpty).toBe(false);
      queues.settled('loud');
    }
    expect(queues.isEmpty, 'the other one waits').toBe(false);
    queues.settled('quiet');
    expect(queues.isEmpty).toBe(true);
    expect(begun).toHaveLength(2 * MAX_IN_STORE + 1);
  });
});
