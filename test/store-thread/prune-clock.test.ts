import { describe, expect, it } from 'vitest';
import { PruneClock } from '../../src/store-thread/prune-clock.ts';

const DAY = 24 * 60 * 60 * 1000;
const START = Date.UTC(2026, 0, 1);

function clockAt(saved: number | undefined) {
  const clocks = { wallMs: START, monotonicMs: 5_000 };
  const clock = new PruneClock(saved, {
    wall: () => clocks.wallMs,
    monotonic: () => clocks.monotonicMs,
  });
  /** Time passes. */
  const pass = (ms: number) => {
    clocks.wallMs += ms;
    clocks.monotonicMs += ms;
  };
  return { clock, clocks, pass };
}

describe('the time by which jobs are forgotten', () => {
  it('passes as time does', () => {
    const { clock, pass } = clockAt(undefined);
    expect(clock.now()).toBe(START);
    pass(40 * DAY);
    expect(clock.now()).toBe(START + 40 * DAY);
  });

  it('is a whole number of milliseconds, as the database stores it', () => {
    const { clock, clocks, pass } = clockAt(undefined);
    pass(DAY);
    clocks.monotonicMs -= 0.75;
    expect(clock.now()).toBe(START + DAY - 1);
  });

  it('does not follow a system clock that is set ahead, and follows one that is set back', () => {
    const { clock, clocks, pass } = clockAt(undefined);
    clocks.wallMs += 40 * DAY;
    expect(clock.now()).toBe(START);
    pass(DAY);
    expect(clock.now()).toBe(START + DAY);
    clocks.wallMs -= 50 * DAY;
    expect(clock.now()).toBe(START - 9 * DAY);
  });

  it('is at most a day ahead of where it was when the process ended', () => {
    expect(clockAt(START - 40 * DAY).clock.now()).toBe(START - 39 * DAY);
    expect(clockAt(START - DAY / 2).clock.now()).toBe(START);
    expect(clockAt(START + DAY).clock.now()).toBe(START);
  });
});
