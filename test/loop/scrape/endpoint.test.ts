import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { compileGate, type GateRefusal } from '../../../src/access/gate.ts';
import { RequestBudget } from '../../../src/loop/http/request-budget.ts';
import { mountScrapeEndpoint } from '../../../src/loop/scrape/endpoint.ts';
import { RemoteRender, serveRemoteRenders } from '../../../src/loop/scrape/remote-render.ts';
import { SharedRender } from '../../../src/loop/scrape/shared-render.ts';
import { uws } from '../../../src/platform/uws.ts';
import { ask, RawConnection } from '../../support/http.ts';
import { eventually, TOKEN } from '../../support/serve.ts';
import { CountedRenders } from './counted-renders.ts';

const HEADERS = { Authorization: `Bearer ${TOKEN}` };
const SOON_MS = 5_000;

let renders: CountedRenders;
/** Sizes of the bodies that were sent whole. */
let sent: number[];
/** What was counted: statuses of answers, and readers that were sent away. */
let counted: (number | 'cut off')[];
/** How long the bodies were given. */
let timeouts: number[];
/** How long the scrapes took, in milliseconds. */
let durations: number[];
let failures: unknown[];
let refusals: GateRefusal[];

/** The endpoint on an app, in the loop of the renders or in one that has them by a port. */
async function mounted(remote: boolean): Promise<string> {
  const shared = new SharedRender((encodings) => renders.render(encodings));
  const { port1, port2 } = new MessageChannel();
  serveRemoteRenders(port1, shared);
  const far = new RemoteRender(port2);
  const app = uws().App();
  onTestFinished(() => {
    far.close();
    app.close();
  });
  const gate = compileGate({ token: TOKEN });
  if (gate === undefined) throw new Error('no gate');
  const source = remote ? far : shared;
  mountScrapeEndpoint(app, {
    gate,
    source: {
      render(encoding, timeoutMs) {
        timeouts.push(timeoutMs);
        return source.render(encoding, timeoutMs);
      },
    },
    counter: {
      scrape: (code) => counted.push(code),
      scrapeDuration: (ms) => durations.push(ms),
      scrapeCutOff: () => counted.push('cut off'),
    },
    requests: new RequestBudget(),
    onScrape: (bytes) => sent.push(bytes),
    onFailure: (error) => failures.push(error),
    onRefusal: (refusal) => refusals.push(refusal),
  });
  return new Promise((resolve, reject) =>
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket === false) return reject(new Error('cannot listen'));
      resolve(`http://127.0.0.1:${uws().us_socket_local_port(socket)}/metrics`);
    }),
  );
}

beforeEach(async () => {
  sent = [];
  counted = [];
  timeouts = [];
  durations = [];
  failures = [];
  refusals = [];
  renders = await CountedRenders.start();
  onTestFinished(() => renders.close());
});

describe.each([
  ['in the loop of the renders', false],
  ['in another loop', true],
])('the body of a scraper is given back (%s)', (_, remote) => {
  const allReturned = (bodies: number) =>
    eventually(() => {
      expect(renders.handedOut).toBe(bodies);
      expect(renders.returned).toBe(bodies);
    }, SOON_MS);

  /** Asks for a body by a connection that says nothing else. */
  async function scraper(url: string): Promise<RawConnection> {
    const connection = await RawConnection.open(url);
    connection.send('GET', '/metrics', [`Authorization: Bearer ${TOKEN}`]);
    return connection;
  }

  test('that has read all of it', async () => {
    const url = await mounted(remote);
    const { body } = await ask(url, { headers: HEADERS });
    await allReturned(1);
    expect(sent).toEqual([body.length]);
    expect(counted).toEqual([200]);
  });

  test('that leaves half-way', async () => {
    renders.addHosts(10_000);
    const url = await mounted(remote);
    const connection = await scraper(url);
    await connection.until(({ receivedBytes }) => receivedBytes > 0);
    connection.pause();
    expect(renders.handedOut - renders.returned, 'it has not read all of it').toBe(1);
    connection.vanish();
    await allReturned(1);
    expect([sent, counted]).toEqual([[], []]);
  });

  test('that leaves before it is ready', async () => {
    const url = await mounted(remote);
    const open = renders.hold();
    const connection = await scraper(url);
    await eventually(() => expect(renders.isHeld).toBe(true), SOON_MS);
    connection.vanish();
    // The server has noticed when it answers somebody who came later.
    expect((await ask(url)).status).toBe(401);
    open();
    await allReturned(1);
    expect(sent).toEqual([]);
  });

  test('that is so slow that it is sent away', async () => {
    renders.addHosts(10_000);
    const url = await mounted(remote);
    const connection = await scraper(url);
    await connection.until(({ receivedBytes }) => receivedBytes > 0);
    connection.pause();
    renders.revokeOldest();
    await allReturned(1);
    connection.resume();
    await connection.until(({ isClosed }) => isClosed);
    expect(sent).toEqual([]);
    expect(counted).toEqual(['cut off']);
  });
});

/** RFC 9110, section 12.5.5: without it a cache gives the gzip body to who cannot read it. */
test.each(['GET', 'HEAD'])('a cache is told that %s depends on Accept-Encoding', async (method) => {
  const url = await mounted(false);
  for (const accepted of ['gzip', 'identity']) {
    const headers = { ...HEADERS, 'Accept-Encoding': accepted };
    const answer = await ask(url, { method, headers });
    expect(answer.headers.vary).toBe('Accept-Encoding');
    const encoding = accepted === 'gzip' ? 'gzip' : undefined;
    expect(answer.headers['content-encoding']).toBe(encoding);
  }
});

/** Prometheus hangs up at its `scrape_timeout`, so the 503 has to be on its way before. */
test.each([
  ['10', 9_500],
  ['1', 900],
  ['0.5', 450],
  ['31', 30_000],
  ['', 30_000],
  ['soon', 30_000],
  ['-1', 30_000],
])('a scrape_timeout of %s s gives the body %i ms', async (seconds, ms) => {
  const url = await mounted(false);
  const headers = { ...HEADERS, 'X-Prometheus-Scrape-Timeout-Seconds': seconds };
  expect((await ask(url, { headers })).status).toBe(200);
  expect(timeouts).toEqual([ms]);
});

test.each([
  [200, 'HEAD', HEADERS],
  [401, 'GET', {}],
  [405, 'POST', HEADERS],
  [400, 'GET', { ...HEADERS, 'Content-Length': '1' }],
])('an answer with %i to %s is counted as that, once', async (status, method, headers) => {
  const connection = await RawConnection.open(await mounted(false));
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  connection.send(method, '/metrics', lines, status === 400 ? 'x' : '');
  await connection.until(({ text }) => text.includes('\r\n\r\n'));
  expect(connection.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(counted).toEqual([status]);
});

test('the duration of a scrape is in milliseconds, and contains the wait for its body', async () => {
  const url = await mounted(false);
  const open = renders.hold();
  const scrape = ask(url, { headers: HEADERS });
  await eventually(() => expect(renders.isHeld).toBe(true), SOON_MS);
  const askedAt = performance.now();
  await sleep(50);
  const waitedMs = performance.now() - askedAt;
  open();
  await scrape;
  await eventually(() => expect(durations).toHaveLength(1), SOON_MS);
  expect(durations[0]).toBeGreaterThanOrEqual(waitedMs);
});

test.each([
  ['in the loop of the renders', false],
  ['in another loop', true],
])('a failed scrape is counted, and its cause is reported (%s)', async (_, remote) => {
  const url = await mounted(remote);
  renders.failNext();
  const { status, body } = await ask(url, { headers: HEADERS });
  expect([status, body.toString()]).toEqual([503, 'the metrics could not be rendered\n']);
  expect([counted, durations]).toEqual([[503], []]);
  const message = 'the render failed: as if the thread had died';
  expect(failures).toMatchObject([{ code: 'render_failed', message }]);
});

test('a refused scrape is reported with the gate and the address', async () => {
  expect((await ask(await mounted(false))).status).toBe(401);
  expect(refusals).toEqual([{ gate: 'token', client: '127.0.0.1' }]);
});
