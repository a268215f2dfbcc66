import { expect, test } from 'vitest';
import { checkHostName } from '../../src/contract/host-name.ts';
import { planFleet } from '../../src/demo/fleet.ts';

test('the names of the largest fleet are unique, and such as can be enrolled', () => {
  const names = planFleet(18_000).map(({ host }) => host);
  expect(new Set(names).size).toBe(18_000);
  for (const name of names) checkHostName(name);
  expect(names.slice(0, 3)).toEqual(['web-01.fra', 'db-01.fra', 'laptop-zoë']);
});

test('every fate is met in a fleet of ten, and one host is pending in any', () => {
  const fates = (size: number) => planFleet(size).map(({ fate }) => fate);
  expect(new Set(fates(10)).size).toBe(9);
  for (const size of [2, 10, 100, 5_000]) {
    expect(fates(size).filter((fate) => fate === 'pending')).toEqual(['pending']);
  }
  // A fleet of one has something to show.
  expect(fates(1)).toEqual(['steady']);
});

test('most of a large fleet is well', () => {
  const steady = planFleet(1_000).filter(({ fate }) => fate === 'steady');
  expect(steady.length).toBeGreaterThan(800);
});
