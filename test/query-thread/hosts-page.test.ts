import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_STATES, type HostState } from '../../src/contract/host-state.ts';
import { decodeCursor, encodeCursor, type HostPosition } from '../../src/contract/queries.ts';
import { hostsPage } from '../../src/query-thread/hosts-page.ts';
import { namePrefix, Roster } from '../../src/query-thread/roster.ts';
import { IS_PENDING } from '../../src/shared/fleet-layout.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { ulidOf } from '../support/ulid.ts';

const NOW = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;
const AGO = (hours: number) => ({ finishedAtMs: NOW - hours * HOUR, succeeded: true });

/** A host in each state. */
const FIELDS = {
  failed: { online: true, lastBackup: { finishedAtMs: NOW, succeeded: false } },
  never: { online: true },
  overdue: { online: true, lastBackup: AGO(27) },
  offline: { online: false, lastBackup: AGO(1) },
  alerts: { online: true, lastBackup: AGO(1) },
  ok: { online: true, lastBackup: AGO(1) },
  pending: { online: false },
} as const satisfies Readonly<Record<HostState, object>>;

interface Sample {
  readonly host: string;
  readonly state: HostState;
}

function rosterOf(samples: readonly Sample[]): Roster {
  const [others, fleet] = [new FleetTable(), new FleetTable()];
  for (const [index, { host, state }] of samples.entries()) {
    const bits = state === 'pending' ? IS_PENDING : state === 'alerts' ? 1 : 0;
    const table = state === 'pending' ? others : fleet;
    table.upsert({ hostId: ulidOf(index), host, ...FIELDS[state] }, bits);
  }
  return new Roster([others.buffer, fleet.buffer]);
}

function listed(roster: Roster, limit: number, states: readonly HostState[] = [], search = '') {
  const found: { host: string; state: HostState; hostId: string }[] = [];
  for (let after: HostPosition | undefined; ; ) {
    const { hosts, next } = hostsPage(roster.pages(), { states, search, limit, after }, NOW);
    expect(hosts.length).toBeLessThanOrEqual(limit);
    // A list never goes on with an empty page.
    if (after !== undefined) expect(hosts).not.toHaveLength(0);
    found.push(...hosts.map(({ host, state, hostId }) => ({ host, state, hostId })));
    if (next === undefined) return found;
    expect(hosts).toHaveLength(limit);
    after = decodeCursor(encodeCursor(next));
    expect(after).toEqual(next);
  }
}

/** Names that differ late, have any script, or contain what the exposition escapes. */
const names = fc.oneof(
  fc.string({
    unit: fc.constantFrom('a', 'b', '\\', '"', 'é', '\u{10ffff}', '東', '~'),
    minLength: 1,
    maxLength: 10,
  }),
  fc.constantFrom('web-site-0001', 'web-site-0002', 'web-sitf', 'web', 'éaz', '東', '東aa', 'éa~'),
);
const samples = fc.array(fc.record({ host: names, state: fc.constantFrom(...HOST_STATES) }), {
  maxLength: 200,
  size: 'max',
});

const rank = (state: HostState) => HOST_STATES.indexOf(state);
const byUnits = (a: string, b: string) => (a === b ? 0 : a < b ? -1 : 1);

describe('the list of hosts', () => {
  it('in pages of any size is the whole list in order: by state, name and id', () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 30 }), (hosts, limit) => {
        const expected = hosts
          .map((sample, index) => ({ ...sample, hostId: ulidOf(index) }))
          .sort(
            (a, b) =>
              rank(a.state) - rank(b.state) ||
              byUnits(a.host, b.host) ||
              byUnits(a.hostId, b.hostId),
          );
        const roster = rosterOf(hosts);
        expect(listed(roster, limit)).toEqual(expected);
        const some = expected.filter(({ state, host }) => state !== 'ok' && host.includes('a'));
        const wanted = HOST_STATES.filter((state) => state !== 'ok');
        expect(listed(roster, limit, wanted, 'A')).toEqual(some);
      }),
      { numRuns: 60 },
    );
  });

  it('a name with a lower prefix comes first', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        if (namePrefix(a) < namePrefix(b)) expect(byUnits(a, b)).toBe(-1);
      }),
    );
  });

  it('a host becomes overdue when its time is over, without a change', () => {
    const roster = rosterOf([{ host: 'web', state: 'ok' }]);
    const state = (nowMs: number) =>
      hostsPage(roster.pages(), { states: [], search: '', limit: 1, after: undefined }, nowMs)
        .hosts[0]?.state;
    const until = NOW + 25 * HOUR;
    expect([NOW, until, until + 1, until].map(state)).toEqual(['ok', 'ok', 'overdue', 'ok']);
  });

  /** Hosts that the store has just moved from the pending hosts, while these are read: they are in both tables. */
  function rosterWithMoving(moving: readonly string[], pending: readonly string[]): Roster {
    const [others, fleet] = [new FleetTable(), new FleetTable()];
    for (const [index, host] of [...moving, ...pending].entries()) {
      others.upsert({ hostId: ulidOf(index), host, ...FIELDS.pending }, IS_PENDING);
      if (index < moving.length) fleet.upsert({ hostId: ulidOf(index), host, ...FIELDS.ok });
    }
    return new Roster([others.buffer, fleet.buffer]);
  }

  it('contains a host once that is just moving between the tables, and is not cut short by it', () => {
    const roster = rosterWithMoving(['b', 'd'], ['a', 'c', 'e']);
    const names = (hosts: readonly { host: string; state: HostState }[]) =>
      hosts.map(({ host, state }) => `${host} ${state}`);
    const all = { states: [], search: '', after: undefined };
    const { hosts } = hostsPage(roster.pages(), { ...all, limit: 20 }, NOW);
    expect(names(hosts)).toEqual(['b ok', 'd ok', 'a pending', 'c pending', 'e pending']);
    for (const limit of [1, 2, 3, 4, 5, 6]) {
      const found: string[] = [];
      for (let after: HostPosition | undefined; ; ) {
        const { hosts, next } = hostsPage(roster.pages(), { ...all, limit, after }, NOW);
        found.push(...names(hosts));
        if (next === undefined) break;
        after = next;
      }
      // On a later page it may be shown again.
      expect(found.filter((name) => !['b pending', 'd pending'].includes(name))).toEqual(
        names(hosts),
      );
    }
  });

  it('and a look at one host have the same state of a host that is just moving', () => {
    const found = rosterWithMoving(['web'], ['a', 'z']).find(ulidOf(0));
    expect(found?.page.summary(found.row, NOW)).toMatchObject({ host: 'web', state: 'ok' });
  });
});

describe('a host', () => {
  it('is found wherever it is, and no other one', () => {
    const roster = rosterOf(
      Array.from({ length: 400 }, (_, n) => ({
        host: `h-${n}`,
        state: HOST_STATES[n % 7] ?? 'ok',
      })),
    );
    for (let n = 0; n < 400; n++) {
      const { page, row } = roster.find(ulidOf(n)) ?? {};
      expect(page?.texts(row ?? -1)).toMatchObject({ hostId: ulidOf(n), host: `h-${n}` });
    }
    for (const absent of [ulidOf(400), '', 'z', `${ulidOf(7)}0`]) {
      expect(roster.find(absent)).toBeUndefined();
    }
  });
});
