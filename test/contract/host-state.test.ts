import { expect, it } from 'vitest';
import { HOST_STATES, type StateFacts, stateRank } from '../../src/contract/host-state.ts';

const NOW = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;
/** A host about which nothing is wrong. */
const OK: StateFacts = {
  isPending: false,
  isOnline: true,
  hasBackup: true,
  lastBackupSucceeded: true,
  lastSuccessMs: NOW - HOUR,
  backupIntervalSeconds: 86_400,
  hasAlerts: false,
};
/** What is wrong in each state; the worst first. */
const WRONG = {
  failed: { lastBackupSucceeded: false },
  overdue: { lastSuccessMs: NOW - 72 * HOUR },
  offline: { isOnline: false },
  alerts: { hasAlerts: true },
} as const;
const NEVER = { hasBackup: false, lastBackupSucceeded: false, lastSuccessMs: Number.NaN };

const stateOf = (facts: Partial<StateFacts>) => HOST_STATES[stateRank({ ...OK, ...facts }, NOW)];

it('a host has the worst of its states', () => {
  expect(stateOf({})).toBe('ok');
  const worst = Object.entries(WRONG);
  for (const [at, [state]] of worst.entries()) {
    const facts = Object.assign({}, ...worst.slice(at).map(([, wrong]) => wrong));
    expect(stateOf(facts)).toBe(state);
    expect(stateOf(worst[at]?.[1] ?? {}), 'alone').toBe(state);
  }
});

it('a host without a finished backup has never been backed up, whatever else is wrong', () => {
  expect(stateOf(NEVER)).toBe('never');
  expect(stateOf({ ...NEVER, isOnline: false, hasAlerts: true })).toBe('never');
});

it('a host that has never connected is pending, and nothing else', () => {
  expect(stateOf({ ...NEVER, isPending: true, isOnline: false })).toBe('pending');
});

it.each([
  ['an hour', 3_600, 1.1 * HOUR],
  ['a week', 604_800, 184.8 * HOUR],
  ['unknown', Number.NaN, 26 * HOUR],
])(
  'with an interval of %s a host is overdue after a tenth more, or 26 hours',
  (_, seconds, age) => {
    const state = (ageMs: number) =>
      stateOf({ backupIntervalSeconds: seconds, lastSuccessMs: NOW - ageMs });
    expect([age - 1, age, age + 1].map(state)).toEqual(['ok', 'ok', 'overdue']);
  },
);
