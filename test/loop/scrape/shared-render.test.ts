import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { SharedRender } from '../../../src/loop/scrape/shared-render.ts';
import { CountedRenders } from './counted-renders.ts';
import { describeRenderSource } from './render-source.cases.ts';

describeRenderSource('within the thread of the renders', (shared) => ({
  source: shared,
  close: () => shared.close(),
}));

test('256 scrapes wait at most, also when many were answered in time before', async () => {
  const renders = await CountedRenders.start();
  onTestFinished(() => renders.close());
  const shared = new SharedRender((encodings) => renders.render(encodings));
  /** What becomes of scrapes that all come at once. */
  const scrape = (count: number, timeoutMs: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        shared.render('identity', timeoutMs).then(
          (body) => body.release(),
          (error) => error.code,
        ),
      ),
    );
  await scrape(200, 500);
  await sleep(600);
  const answers = await scrape(300, 30_000);
  expect(answers.filter((answer) => answer === 'too_many_scrapes')).toHaveLength(300 - 256);
});
