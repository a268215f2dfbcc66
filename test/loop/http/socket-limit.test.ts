import { expect, onTestFinished, test, vi } from 'vitest';
import { SocketLimit } from '../../../src/loop/http/socket-limit.ts';
import type { HttpResponse, TemplatedApp } from '../../../src/platform/uws.ts';

test('exactly as many sockets as the limit are accepted, over all threads', () => {
  const shared = SocketLimit.allocate();
  const closed: number[] = [];
  let refusals = 0;
  const changes = [0, 1].map(() => {
    let change: (res: HttpResponse, by: number) => void = () => {};
    const app = {
      filter: (handler: typeof change) => {
        change = handler;
      },
    };
    new SocketLimit(shared, () => refusals++, 3).watch(app as unknown as TemplatedApp);
    return (number: number, by: 1 | -1) =>
      change({ close: () => closed.push(number) } as unknown as HttpResponse, by);
  });
  const [first, second] = changes;
  first?.(1, 1);
  second?.(2, 1);
  first?.(3, 1);
  expect(closed).toEqual([]);
  second?.(4, 1);
  expect([closed, refusals]).toEqual([[4], 1]);
  second?.(4, -1);
  first?.(1, -1);
  second?.(5, 1);
  expect(closed).toEqual([4]);
});

test('a WebSocket that will be closed counts until then, and no longer', () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const shared = SocketLimit.allocate();
  const open = new Int32Array(shared);
  open[0] = 2;
  const limit = new SocketLimit(shared, () => {}, 3);
  limit.webSocketClosedAfter(10_000);
  vi.advanceTimersByTime(9_999);
  expect(open[0]).toBe(2);
  vi.advanceTimersByTime(1);
  expect(open[0]).toBe(1);
});
