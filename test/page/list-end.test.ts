import { expect, test } from 'vitest';
import { listEnd } from '../../src/page/list-end.ts';

test.each([
  [0, false, '', false],
  [1_234, false, '1,234 shown', false],
  [100, true, 'The first 100 shown, worst first.', true],
  [1_999, true, 'The first 1,999 shown, worst first.', true],
  [2_000, true, 'The first 2,000 shown, worst first. Filter or search to see the others.', false],
])('below %i hosts, with more hosts: %s', (hosts, hasMore, text, canShowMore) => {
  expect(listEnd(hosts, hasMore)).toEqual({ text, canShowMore });
});
