import { expect, it } from 'vitest';
import { Announcer } from '../../src/page/announcer.ts';
import type { Fleet } from '../../src/page/model.ts';

const NONE = { failed: 0, never: 0, overdue: 0, offline: 0, alerts: 0, ok: 0, pending: 0 };

function failedHosts(failed: number): Fleet {
  return { states: { ...NONE, failed, ok: 9 - failed } } as Fleet;
}

it('the first fleet is not announced, and a change is', () => {
  const announcer = new Announcer();
  expect(announcer.textFor(failedHosts(1), 0)).toBe('');
  expect(announcer.textFor(failedHosts(1), 5_000)).toBe('');
  expect(announcer.textFor(failedHosts(2), 10_000)).toMatch(/^1 more host .* failed\. 2 of 9 /);
});

it('changes within 20 s of an announcement are announced after it, together', () => {
  const announcer = new Announcer();
  announcer.textFor(failedHosts(0), 0);
  expect(announcer.textFor(failedHosts(1), 1_000)).not.toBe('');
  expect(announcer.textFor(failedHosts(2), 6_000)).toBe('');
  expect(announcer.textFor(failedHosts(4), 20_999)).toBe('');
  expect(announcer.textFor(failedHosts(4), 21_000)).toMatch(/^3 more hosts .*4 of 9 /);
});

it('after it was cleared, the next fleet is the first one', () => {
  const announcer = new Announcer();
  announcer.textFor(failedHosts(0), 0);
  announcer.textFor(failedHosts(1), 1_000);
  announcer.clear();
  expect(announcer.textFor(failedHosts(5), 2_000)).toBe('');
  expect(announcer.textFor(failedHosts(6), 3_000)).not.toBe('');
});
