import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Pauses } from '../../../src/loop/agents/pauses.ts';

describe('a host that may have a tenth of the time', () => {
  let pauses: Pauses;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    pauses = new Pauses(0.1);
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('pauses for nine times as long as its work took, and others do not', () => {
    pauses.add('web', 10);
    expect(pauses.remainingMs('web')).toBeCloseTo(90);
    expect(pauses.remainingMs('mail')).toBe(0);
    vi.advanceTimersByTime(89);
    expect(pauses.remainingMs('web')).toBeCloseTo(1);
    vi.advanceTimersByTime(1);
    expect(pauses.remainingMs('web')).toBeCloseTo(0);
  });

  it('pauses for the sum if it works again during its pause', () => {
    pauses.add('web', 10);
    pauses.add('web', 10);
    expect(pauses.remainingMs('web')).toBeCloseTo(180);
    // The end of the first pause must not end the second one.
    vi.advanceTimersByTime(100);
    expect(pauses.remainingMs('web')).toBeCloseTo(80);
  });

  it('pauses no longer because it worked long ago', () => {
    pauses.add('web', 10);
    vi.advanceTimersByTime(60_000);
    pauses.add('web', 10);
    expect(pauses.remainingMs('web')).toBeCloseTo(90);
  });
});
