import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { PendingResponse } from '../../../src/loop/http/pending-response.ts';
import { RequestBudget } from '../../../src/loop/http/request-budget.ts';
import type { ScrapeRequest, ScrapeResponse } from '../../../src/platform/uws.ts';

/** A request as uWebSockets.js passes it on. It notes what is done with its response. */
class FakeExchange implements ScrapeResponse, ScrapeRequest {
  readonly done: unknown[][] = [];
  readonly #method: string;
  readonly #headers: Readonly<Record<string, string>>;
  abort: () => void = () => {};
  data: (chunk: ArrayBuffer, isLast: boolean) => void = () => {};

  constructor(method = 'get', headers: Readonly<Record<string, string>> = {}) {
    this.#method = method;
    this.#headers = headers;
  }

  getMethod = () => this.#method;
  getHeader = (name: string) => this.#headers[name] ?? '';
  forEach = () => {};
  getRemoteAddress = () => new ArrayBuffer(4);
  getWriteOffset = () => 0;
  tryEnd = (): [boolean, boolean] => [true, true];
  onAborted = (handler: () => void) => {
    this.abort = handler;
  };
  onData = (handler: FakeExchange['data']) => {
    this.data = handler;
  };
  onWritable = () => {};
  cork = (write: () => void) => write();
  writeStatus = (status: string) => void this.done.push(['status', status]);
  writeHeader = (name: string, value: string) => void this.done.push([name, value]);
  end = (body: string, close: boolean) => void this.done.push(['end', body, close]);
  endWithoutBody = (...args: unknown[]) => void this.done.push(['endWithoutBody', ...args]);
  close = () => void this.done.push(['close']);
}

const LIMITS = { bytes: 10, chunks: 2, answersLater: false };
const TEXT = ['Content-Type', 'text/plain; charset=utf-8'];
const bytes = (length: number) => new ArrayBuffer(length);

let exceeded: number;
let requests: RequestBudget;

beforeEach(() => {
  exceeded = 0;
  requests = new RequestBudget(() => void exceeded++);
});

function responseTo(exchange: FakeExchange, limits: object = {}): PendingResponse {
  return new PendingResponse(exchange, exchange, requests, { ...LIMITS, ...limits });
}

describe('a text', () => {
  it('is sent at once, and leaves the connection open', () => {
    const exchange = new FakeExchange();
    responseTo(exchange).send('200 OK', { Allow: 'GET' }, 'ok');
    const head = [['status', '200 OK'], TEXT, ['Allow', 'GET']];
    expect(exchange.done).toEqual([...head, ['end', 'ok', false]]);
  });

  it('for HEAD is only its length', () => {
    const exchange = new FakeExchange('head');
    responseTo(exchange).send('200 OK', {}, 'ü');
    const head = [['status', '200 OK'], TEXT, ['Content-Length', '2']];
    expect(exchange.done).toEqual([...head, ['endWithoutBody']]);
  });

  it('for HEAD closes the connection if that was asked for', () => {
    const exchange = new FakeExchange('head');
    const response = responseTo(exchange);
    response.closeAfterwards();
    response.send('200 OK', {}, 'ok');
    expect(exchange.done.at(-1)).toEqual(['endWithoutBody', 0, true]);
  });

  it('is not sent to a client that has left', () => {
    const exchange = new FakeExchange();
    const response = responseTo(exchange);
    exchange.abort();
    response.send('200 OK', {}, 'ok');
    expect(exchange.done).toEqual([]);
  });

  it('is sent once', () => {
    const exchange = new FakeExchange();
    const response = responseTo(exchange);
    response.send('401 Unauthorized', {}, 'no');
    response.send('200 OK', {}, 'ok');
    expect(exchange.done).toHaveLength(3);
  });
});

describe('a request with a body', () => {
  const post = () => new FakeExchange('post', { 'content-length': '5' });

  it('is answered at the end of its body, which leaves the connection open', () => {
    const exchange = post();
    responseTo(exchange).send('400 Bad Request', {}, 'no');
    exchange.data(bytes(2), false);
    expect(exchange.done).toEqual([]);
    exchange.data(bytes(3), true);
    expect(exchange.done.at(-1)).toEqual(['end', 'no', false]);
    expect(exceeded).toBe(0);
  });

  it.each([
    ['bytes', [10, 1]],
    ['chunks', [1, 1, 1]],
  ])(
    'of too many %s is answered before its end and disconnected, and counted once',
    (_, chunks) => {
      const exchange = post();
      responseTo(exchange).send('400 Bad Request', {}, 'no');
      for (const chunk of chunks) {
        expect(exchange.done).toEqual([]);
        exchange.data(bytes(chunk), false);
      }
      expect(exchange.done.at(-1)).toEqual(['end', 'no', true]);
      exchange.data(bytes(1), true);
      expect(exceeded).toBe(1);
      expect(exchange.done).toHaveLength(3);
    },
  );

  it.each<[string, number[], boolean]>([
    ['64 KiB', [64 * 1024], false],
    ['more than 64 KiB', [64 * 1024, 1], true],
    ['64 chunks', Array(64).fill(1), false],
    ['65 chunks', Array(65).fill(1), true],
  ])('that nobody uses and that has %s is cut off, or is not', (_, chunks, cut) => {
    const exchange = post();
    new PendingResponse(exchange, exchange, requests).send('405 Method Not Allowed', {}, 'no');
    for (const chunk of chunks) exchange.data(bytes(chunk), false);
    expect(exchange.done.at(-1)).toEqual(cut ? ['end', 'no', true] : undefined);
    expect(exceeded).toBe(cut ? 1 : 0);
  });

  it('of exactly the limits is read, and its reader gets every chunk', () => {
    const exchange = post();
    const read: unknown[] = [];
    responseTo(exchange).readBody(
      (chunk) => read.push(chunk.byteLength),
      (isTooLong) => read.push(isTooLong),
      () => read.push('aborted'),
    );
    exchange.data(bytes(9), false);
    exchange.data(bytes(1), true);
    expect(read).toEqual([9, 1, false]);
  });

  it('may be answered before its end, and is disconnected then', () => {
    const exchange = post();
    const response = responseTo(exchange);
    response.doNotWaitForBody();
    response.send('413 Content Too Large', {}, 'no');
    expect(exchange.done.at(-1)).toEqual(['end', 'no', true]);
  });

  it('tells its reader that the client has left', () => {
    const exchange = post();
    const read: unknown[] = [];
    responseTo(exchange).readBody(
      () => {},
      () => read.push('end'),
      () => read.push('aborted'),
    );
    exchange.abort();
    expect(read).toEqual(['aborted']);
  });

  it.each([
    [{}, false],
    [{ 'content-length': '0' }, false],
    [{ 'content-length': '1' }, true],
    [{ 'transfer-encoding': 'chunked' }, true],
  ])('is one whose headers are %j: %s', (headers, hasBody) => {
    const response = responseTo(new FakeExchange('post', headers as Record<string, string>));
    expect(response.hasBody).toBe(hasBody);
    let ended = false;
    response.readBody(
      () => {},
      () => {
        ended = true;
      },
      () => {},
    );
    expect(ended, 'without a body it is complete at once').toBe(!hasBody);
  });
});

describe('beyond the requests of one turn', () => {
  it('answers are put off to the next turn, and a client that does not wait is counted', async () => {
    const waiting = new FakeExchange();
    const impatient = new FakeExchange();
    for (let n = 0; n < 500; n++) expect(requests.take()).toBe(true);
    responseTo(waiting).send('200 OK', {}, 'ok');
    responseTo(impatient).send('200 OK', {}, 'ok');
    expect(waiting.done).toEqual([]);
    impatient.abort();
    expect(exceeded).toBe(1);
    await setImmediate();
    expect(waiting.done.at(-1)).toEqual(['end', 'ok', false]);
    waiting.abort();
    expect(exceeded, 'it has its answer').toBe(1);
    expect(impatient.done).toEqual([]);
    const next = new FakeExchange();
    responseTo(next).send('200 OK', {}, 'ok');
    expect(next.done.at(-1), 'the next turn has its own').toEqual(['end', 'ok', false]);
    next.abort();
    expect(exceeded, 'its answer was not put off').toBe(1);
  });

  it('a request that sends too much is answered at once, so that nothing more is read of it', () => {
    const exchange = new FakeExchange('post', { 'content-length': '100' });
    for (let n = 0; n < 500; n++) requests.take();
    responseTo(exchange).send('400 Bad Request', {}, 'no');
    exchange.data(bytes(11), false);
    expect(exchange.done.at(-1)).toEqual(['end', 'no', true]);
  });

  it('what is always answered later needs no room in this turn', async () => {
    const exchange = new FakeExchange();
    responseTo(exchange, { answersLater: true }).send('200 OK', {}, 'ok');
    expect(exchange.done).toEqual([]);
    await setImmediate();
    expect(exchange.done.at(-1)).toEqual(['end', 'ok', false]);
  });
});

describe('a stream', () => {
  it('ends once: complete, or because the client has left', () => {
    const ends: boolean[] = [];
    const stream = () => {
      const exchange = new FakeExchange();
      const response = responseTo(exchange);
      response.stream(
        { Vary: 'x' },
        () => true,
        (complete) => void ends.push(complete),
      );
      return { exchange, response };
    };
    const complete = stream();
    complete.response.finish();
    complete.exchange.abort();
    complete.response.abandon();
    expect(complete.exchange.done).toEqual([
      ['status', '200 OK'],
      ['Vary', 'x'],
    ]);
    stream().exchange.abort();
    const abandoned = stream();
    abandoned.response.abandon();
    expect(abandoned.exchange.done.at(-1)).toEqual(['close']);
    expect(ends).toEqual([true, false]);
  });

  it('to a client that has left before ends at once', () => {
    const exchange = new FakeExchange();
    const response = responseTo(exchange);
    exchange.abort();
    const ends: boolean[] = [];
    response.stream(
      {},
      () => true,
      (complete) => void ends.push(complete),
    );
    expect([ends, exchange.done]).toEqual([[false], []]);
  });
});
