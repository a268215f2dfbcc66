import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Api } from '../../src/page/api.ts';

declare global {
  /** The types of Node lack what only browsers have. */
  interface RequestInit {
    cache?: 'no-store';
  }
}

const ALL = { states: [], search: '' };
const NEVER = new AbortController().signal;

/** A server that notes what it is asked, at the address of the page. */
async function serving(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const page = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { fetch } = globalThis;
  // A browser completes an address by that of the page. Node has no page.
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => fetch(new URL(path, page), init));
  onTestFinished(() => {
    vi.unstubAllGlobals();
    server.closeAllConnections();
    server.close();
  });
  return asked;
}

/** Answers with pages of so many hosts, as the API does. */
function pagesOf(count: number) {
  return ({ url = '' }: IncomingMessage, response: ServerResponse) => {
    const { searchParams } = new URL(url, 'http://page');
    const after = Number(searchParams.get('after') ?? 0);
    const end = Math.min(count, after + Number(searchParams.get('limit')));
    const hosts = Array.from({ length: end - after }, (_, n) => ({ host_id: `${after + n}` }));
    response.end(JSON.stringify({ hosts, next: end < count ? `${end}` : null }));
  };
}

const urls = (asked: readonly IncomingMessage[]) => asked.map(({ url }) => url);

test('many hosts are asked for in pages, and no more than are wanted', async () => {
  const asked = await serving(pagesOf(1_500));
  const { hosts, next } = await new Api('a').hosts(ALL, 1_200, NEVER);
  expect(hosts.map((host) => Number(host.host_id))).toEqual([...Array(1_200).keys()]);
  expect(next).toBe('1200');
  expect(urls(asked)).toEqual([
    '/api/hosts?limit=500',
    '/api/hosts?limit=500&after=500',
    '/api/hosts?limit=200&after=1000',
  ]);
});

test('a list that ends sooner is the last page', async () => {
  const asked = await serving(pagesOf(2));
  const filter = { states: ['failed', 'ok'], search: 'a b' } as const;
  const { hosts, next } = await new Api(undefined).hosts(filter, 100, NEVER);
  expect([hosts.length, next]).toEqual([2, null]);
  expect(urls(asked)).toEqual(['/api/hosts?state=failed&state=ok&search=a+b&limit=100']);
});

test('a token is sent as a header, and the id of a host is one part of the path', async () => {
  const asked = await serving((_, response) => response.end('{}'));
  await new Api('secret').fleet(NEVER);
  await new Api(undefined).host('../a?b', NEVER);
  expect(urls(asked)).toEqual(['/api/fleet', '/api/hosts/..%2Fa%3Fb']);
  expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', undefined]);
});

test.each(['', 'a b', 'a\n', 'ü', 'a'.repeat(1_025)])(
  'a token that no server can have is refused without a request: %j',
  async (token) => {
    const asked = await serving((_, response) => response.end('{}'));
    await expect(new Api(token).fleet(NEVER)).rejects.toMatchObject({
      status: 401,
      wantsToken: true,
    });
    expect(asked).toEqual([]);
  },
);

test.each<[number, Record<string, string>, object]>([
  [401, { 'WWW-Authenticate': 'Bearer' }, { status: 401, wantsToken: true }],
  [401, {}, { status: 401, wantsToken: false }],
  [503, {}, { status: 503, wantsToken: false }],
  [404, {}, { status: 404, wantsToken: false }],
  // As that of a portal: the token must not follow it, and its page is no answer.
  [302, { Location: '/elsewhere' }, { status: 0, wantsToken: false }],
  [200, {}, { status: 0, wantsToken: false }],
])('an answer of %i with %j is an error of the API', async (status, headers, error) => {
  const asked = await serving((_, response) => response.writeHead(status, headers).end('<p>'));
  await expect(new Api('a').fleet(NEVER)).rejects.toMatchObject({ name: 'Error', ...error });
  expect(asked).toHaveLength(1);
});

test('a server that does not answer is given up after ten seconds', async () => {
  const late = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(late.signal);
  onTestFinished(() => timeout.mockRestore());
  await serving(() => late.abort());
  await expect(new Api('a').fleet(NEVER)).rejects.toMatchObject({ status: 0 });
  expect(timeout).toHaveBeenCalledWith(10_000);
});

test('a request that the page gives up ends with the reason, which is no error of the API', async () => {
  const giveUp = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(NEVER);
  onTestFinished(() => timeout.mockRestore());
  await serving(() => giveUp.abort('given up'));
  await expect(new Api('a').fleet(giveUp.signal)).rejects.toBe('given up');
});
