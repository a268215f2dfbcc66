import { expect, test } from 'vitest';
import { hostFragment, listFragment, parseRoute, tokenIn } from '../../src/page/route.ts';

const ALL = { view: 'list', filter: { states: [], search: '' } };

test.each<[string, object]>([
  ['', ALL],
  ['#', ALL],
  ['#/', ALL],
  ['#nonsense', ALL],
  ['#/?state=nonsense', ALL],
  ['#/hosts/01JD8Z5N3V', { view: 'host', hostId: '01JD8Z5N3V' }],
  ['#/hosts/%zz', { view: 'host', hostId: '%zz' }],
])('%s', (fragment, expected) => {
  expect(parseRoute(fragment)).toEqual(expected);
});

test('a filter and a host survive the way through the address', () => {
  const filter = { states: ['failed', 'offline'], search: 'a&b=c #ü' } as const;
  expect(parseRoute(listFragment(filter))).toEqual({ view: 'list', filter });
  expect(listFragment({ states: [], search: '' })).toBe('#/');
  expect(parseRoute(hostFragment('a/b?c'))).toEqual({ view: 'host', hostId: 'a/b?c' });
});

test('a token is read only where it is expected', () => {
  expect(tokenIn('#token=a%20b')).toBe('a b');
  expect(tokenIn('#/?token=a')).toBeUndefined();
});
