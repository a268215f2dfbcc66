import { expect, test } from 'vitest';
import { MAX_UNREAD_BYTES, UnreadAnswers } from '../../../src/loop/api/unread-answers.ts';
import type { PendingResponse } from '../../../src/loop/http/pending-response.ts';

/** The only part of a response that is used. */
class Response {
  isAbandoned = false;
  abandon(): void {
    this.isAbandoned = true;
  }
  get pending(): PendingResponse {
    return this as unknown as PendingResponse;
  }
}

function setUp() {
  let cutOff = 0;
  const unread = new UnreadAnswers(() => cutOff++);
  const add = (bytes: number) => {
    const response = new Response();
    unread.add(response.pending, bytes);
    return response;
  };
  return { unread, add, cutOff: () => cutOff };
}

test('the clients that have read slowly for the longest time are disconnected first', () => {
  const { unread, add, cutOff } = setUp();
  const third = MAX_UNREAD_BYTES / 3;
  const [first, second, last] = [add(third), add(third), add(third)];
  expect(cutOff()).toBe(0);
  unread.remove(first.pending);
  const next = add(third);
  expect(cutOff()).toBe(0);
  add(1);
  expect(cutOff()).toBe(1);
  const abandoned = [first, second, last, next].map(({ isAbandoned }) => isAbandoned);
  expect(abandoned).toEqual([false, true, false, false]);
});

test('an answer that is larger than the limit is sent, if it is the only one', () => {
  const { unread, add, cutOff } = setUp();
  const large = add(MAX_UNREAD_BYTES + 1);
  expect(large.isAbandoned).toBe(false);
  add(1);
  expect(large.isAbandoned).toBe(true);
  unread.remove(large.pending);
  expect(cutOff()).toBe(1);
});
