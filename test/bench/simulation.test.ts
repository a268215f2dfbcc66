import { describe, expect, test } from 'vitest';
import { type Constants, type Cost, costOf } from '../../bench/simulation/constants.ts';
import { type Assumptions, simulate } from '../../bench/simulation/model.ts';

const HOUR_S = 3_600;
const FREE: readonly Cost[] = [
  { size: 0, ms: 0, cpuMs: 0, kib: 0 },
  { size: 1_000, ms: 0, cpuMs: 0, kib: 0 },
];
/** A batch takes 4 ms, of which 2 ms are CPU of the database, however many writes it has. */
const BATCH: readonly Cost[] = [1, 1_000].map((size) => ({ size, ms: 4, cpuMs: 2, kib: 1 }));
const NOTHING: Constants = {
  batch: BATCH,
  poll: FREE,
  kibPerHost: 0,
  kibPerJob: 0,
  baseMb: 0,
  mbPerFollowedHost: 0,
  mbPerShownHost: 0,
  mbPerAgent: 0,
  startMs: 0,
  startMsPerHost: 0,
  scrapeMsPerHost: 0,
};
/** Each host sends a message per second in the busiest hour. */
const ASSUMED: Assumptions = {
  coresOfDatabase: 8,
  writesPerHostAndDay: HOUR_S,
  busiestHour: 1,
  reconnectSeconds: 5,
};
const CALM = { seconds: 20, restart: false };

describe('the simulation of several instances', () => {
  test('a rare message waits for the commit of its batch', () => {
    const course = simulate({ hosts: 30, instances: 3 }, ASSUMED, NOTHING, CALM);
    expect(course.writesPerSecond).toBeCloseTo(30, -1);
    expect(course.p99Ms).toBeGreaterThanOrEqual(4);
    expect(course.p99Ms).toBeLessThan(10);
    expect(course.mbPerSecond).toBeCloseTo((course.commitsPerSecond * 1_024) / 1e6, 6);
    expect(course.busyCores).toBeCloseTo((course.commitsPerSecond * 2) / 1_000, 2);
  });

  test('under load, a batch has many messages', () => {
    const course = simulate({ hosts: 10_000, instances: 2 }, ASSUMED, NOTHING, CALM);
    expect(course.busyStore).toBeGreaterThan(0.9);
    expect(course.commitsPerSecond).toBeLessThan(600);
    expect(course.p99Ms).toBeLessThan(20);
  });

  test('a database with too few cores slows all instances down', () => {
    const few = { ...ASSUMED, coresOfDatabase: 1 };
    const course = simulate({ hosts: 10_000, instances: 10 }, few, NOTHING, CALM);
    expect(course.busyCores).toBeCloseTo(1, 1);
    expect(course.p99Ms).toBeGreaterThan(20);
  });

  test('after a restart, the last hello is stored soon after the last agent is back', () => {
    const restart = { seconds: 20, restart: true };
    const course = simulate({ hosts: 3_000, instances: 3 }, ASSUMED, NOTHING, restart);
    expect(course.writesPerSecond).toBeCloseTo(3_000 + 1_000 / 20, -2);
    expect(course.allStoredAfterSeconds).toBeGreaterThan(5);
    expect(course.allStoredAfterSeconds).toBeLessThan(5.1);
  });

  test('a cost is interpolated between the measured sizes, and continues beyond them', () => {
    const costs: readonly Cost[] = [
      { size: 0, ms: 10, cpuMs: 1, kib: 2 },
      { size: 100, ms: 20, cpuMs: 3, kib: 4 },
      { size: 1_000, ms: 110, cpuMs: 21, kib: 22 },
    ];
    expect(costOf(costs, 0)).toEqual({ size: 0, ms: 10, cpuMs: 1, kib: 2 });
    expect(costOf(costs, 50)).toEqual({ size: 50, ms: 15, cpuMs: 2, kib: 3 });
    expect(costOf(costs, 2_000)).toEqual({ size: 2_000, ms: 210, cpuMs: 41, kib: 42 });
  });
});
