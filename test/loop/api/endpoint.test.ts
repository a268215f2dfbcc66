import { expect, onTestFinished, test } from 'vitest';
import { compileGate } from '../../../src/access/gate.ts';
import { mountApi } from '../../../src/loop/api/endpoint.ts';
import { MAX_UNREAD_BYTES } from '../../../src/loop/api/unread-answers.ts';
import { RequestBudget } from '../../../src/loop/http/request-budget.ts';
import { uws } from '../../../src/platform/uws.ts';
import { ask, RawConnection } from '../../support/http.ts';
import { eventually, TOKEN } from '../../support/serve.ts';

/** More than the buffers of the sockets take from a server whose client does not read. */
const LARGE_BYTES = 4 * MAX_UNREAD_BYTES;

/** The API on an app in the thread of the test. Each of its answers is large. */
async function mounted() {
  /** What was counted: statuses of answers, and refusals. */
  const counted: (number | string)[] = [];
  let durations = 0;
  const gate = compileGate({ token: TOKEN });
  if (gate === undefined) throw new Error('no gate');
  const app = uws().App();
  onTestFinished(() => void app.close());
  mountApi(app, {
    gate,
    source: { ask: async () => ({ json: new Uint8Array(LARGE_BYTES) }) },
    counter: {
      apiRequest: (code) => counted.push(code),
      apiRefusal: (reason) => counted.push(reason),
      apiDuration: () => durations++,
    },
    requests: new RequestBudget(),
    onFailure: () => {},
    onRefusal: () => {},
  });
  const url = await new Promise<string>((resolve, reject) =>
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket === false) return reject(new Error('cannot listen'));
      resolve(`http://127.0.0.1:${uws().us_socket_local_port(socket)}/api/fleet`);
    }),
  );
  /** Reads a whole answer. */
  const read = async () => {
    const { status, body } = await ask(url, { headers: { Authorization: `Bearer ${TOKEN}` } });
    expect([status, body.length]).toEqual([200, LARGE_BYTES]);
  };
  /** Reads the start of an answer, and no more. */
  const begin = async () => {
    const raw = await RawConnection.open(url);
    raw.send('GET', '/api/fleet', [`Authorization: Bearer ${TOKEN}`]);
    await raw.until(({ receivedBytes }) => receivedBytes > 0);
    raw.pause();
    return raw;
  };
  return { read, begin, counted, durations: () => durations };
}

test('an answer counts when its client has got all of it', async () => {
  const { read, counted, durations } = await mounted();
  await read();
  await eventually(() => expect(counted).toEqual([200]));
  expect(durations()).toBe(1);
});

test('an answer whose client has left before its end does not count', async () => {
  const { read, begin, counted, durations } = await mounted();
  (await begin()).vanish();
  // The server notices that before it has sent these.
  await read();
  await read();
  await eventually(() => expect(counted.length).toBeGreaterThanOrEqual(2));
  expect(counted).toEqual([200, 200]);
  expect(durations()).toBe(2);
});

test('a client that is disconnected because it reads too slowly counts as refused, not as answered', async () => {
  const { read, begin, counted, durations } = await mounted();
  const slow = await begin();
  await read();
  await eventually(() => expect(counted).toContain(200));
  expect(counted).toEqual(['too_slow', 200]);
  expect(durations()).toBe(1);
  slow.resume();
  await eventually(() => expect(slow.isClosed).toBe(true));
  expect(slow.receivedBytes).toBeLessThan(LARGE_BYTES);
});
