import { MessageChannel } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import type { Query, QueryAnswer } from '../../../src/contract/queries.ts';
import { RemoteQueries, serveRemoteQueries } from '../../../src/loop/api/remote-queries.ts';
import { inTime } from '../../support/in-time.ts';

/** Two loops that ask the main thread. The test answers for the query thread. */
function connected() {
  const asked: { query: Query; answer: (answer: QueryAnswer) => void }[] = [];
  const source = {
    ask: (query: Query) =>
      new Promise<QueryAnswer>((answer) => {
        asked.push({ query, answer });
      }),
  };
  const loops = [1, 2].map(() => {
    const { port1, port2 } = new MessageChannel();
    serveRemoteQueries(port1, source);
    const queries = new RemoteQueries(port2);
    onTestFinished(() => queries.close());
    return queries;
  });
  const allAsked = async (count: number) => {
    while (asked.length < count) await new Promise(setImmediate);
  };
  return { loops, asked, allAsked };
}

test('each request of each loop gets its own answer, in whatever order they come', async () => {
  const { loops, asked, allAsked } = connected();
  const ids = ['a', 'b', 'c', 'd'];
  const answers = loops.map((loop, index) =>
    ids.map((id) => loop.ask({ name: 'host', hostId: `${id}${index}` })),
  );
  await allAsked(8);
  for (const { query, answer } of asked.reverse()) {
    const { hostId } = query as { hostId: string };
    answer({ json: new TextEncoder().encode(hostId) });
  }
  const texts = await Promise.all(
    answers.flat().map(async (answer) => {
      const got = await inTime(answer, 'a request has no answer');
      return 'json' in got ? Buffer.from(got.json).toString() : got.failed;
    }),
  );
  expect(texts).toEqual(['a0', 'b0', 'c0', 'd0', 'a1', 'b1', 'c1', 'd1']);
});

test('failures, and what an answer lacks, arrive with their messages', async () => {
  const { loops, asked, allAsked } = connected();
  const answers = [loops[0]?.ask({ name: 'fleet' }), loops[0]?.ask({ name: 'fleet' })];
  await allAsked(2);
  asked[0]?.answer({ failed: 'api_too_late', message: 'no answer' });
  asked[1]?.answer({ json: new Uint8Array(3), lacks: 'SQLite: full' });
  expect(await Promise.all(answers)).toEqual([
    { failed: 'api_too_late', message: 'no answer' },
    { json: new Uint8Array(3), lacks: 'SQLite: full' },
  ]);
});
