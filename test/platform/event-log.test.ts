import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventLog } from '../../src/platform/event-log.ts';
import type { Logger } from '../../src/platform/log.ts';

const SECOND = 1_000;

let lines: object[];

/** The log of one of several threads that share a limit. */
function logOf(shared: SharedArrayBuffer, showsLevel = false): EventLog {
  const noteAt = (level: string) => (fields: object, message: string) =>
    void lines.push({ ...(showsLevel && { level }), ...fields, message });
  const log = { info: noteAt('info'), warn: noteAt('warn'), error: noteAt('error') };
  return new EventLog(log as unknown as Logger, shared);
}

beforeEach(() => {
  lines = [];
  vi.useFakeTimers({ toFake: ['hrtime'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('an event that strangers can cause as often as they like', () => {
  it('is logged once a minute, with how many were left out since', () => {
    const log = logOf(EventLog.allocate());
    for (let n = 0; n < 10; n++) log.warn('scrape_refused', { n }, 'refused');
    vi.advanceTimersByTime(59 * SECOND);
    log.warn('scrape_refused', { n: 10 }, 'refused');
    vi.advanceTimersByTime(1 * SECOND);
    log.warn('scrape_refused', { n: 11 }, 'refused');
    vi.advanceTimersByTime(61 * SECOND);
    log.warn('scrape_refused', { n: 12 }, 'refused');
    expect(lines).toEqual([
      { event: 'scrape_refused', n: 0, message: 'refused' },
      { event: 'scrape_refused', n: 11, suppressed: 10, message: 'refused' },
      { event: 'scrape_refused', n: 12, message: 'refused' },
    ]);
  });

  it('does not keep another one from the log', () => {
    const log = logOf(EventLog.allocate());
    for (let n = 0; n < 3; n++) log.warn('agent_unauthorized', {}, 'unauthorized');
    log.error('store_failed', {}, 'failed');
    log.info('store_recovered', {}, 'recovered');
    expect(lines).toMatchObject([
      { event: 'agent_unauthorized' },
      { event: 'store_failed' },
      { event: 'store_recovered' },
    ]);
  });

  it('has the level that it is given', () => {
    const log = logOf(EventLog.allocate(), true);
    log.error('store_failed', {}, 'a');
    log.warn('scrape_refused', {}, 'b');
    log.info('store_recovered', {}, 'c');
    expect(lines).toMatchObject([{ level: 'error' }, { level: 'warn' }, { level: 'info' }]);
  });

  it('counts in all threads together', () => {
    const shared = EventLog.allocate();
    const [one, other] = [logOf(shared), logOf(shared)];
    one.warn('agent_replaced', { by: 'one' }, 'replaced');
    other.warn('agent_replaced', { by: 'other' }, 'replaced');
    vi.advanceTimersByTime(61 * SECOND);
    other.warn('agent_replaced', { by: 'other' }, 'replaced');
    expect(lines).toMatchObject([{ by: 'one' }, { by: 'other', suppressed: 1 }]);
  });
});
