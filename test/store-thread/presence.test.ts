import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Presence } from '../../src/store-thread/presence.ts';
import { OFFLINE } from './rules/record.ts';

const AT = Date.UTC(2026, 0, 2);

let presence: Presence;

beforeEach(() => {
  vi.useFakeTimers({ now: AT, toFake: ['performance', 'Date'] });
  presence = new Presence(() => Date.now());
});

afterEach(() => {
  vi.useRealTimers();
});

describe('hosts that are offline', () => {
  it('are due after that time and not before, the longest first, so many at a time', () => {
    for (const hostId of ['a', 'b', 'c']) {
      presence.startOffline(hostId);
      vi.advanceTimersByTime(1);
    }
    // It was offline first, came back and left again.
    presence.connect('a', 1);
    presence.disconnect('a', 1);
    vi.advanceTimersByTime(997);
    expect(presence.offlineFor(1_000, 10)).toEqual([]);
    vi.advanceTimersByTime(3);
    expect(presence.offlineFor(1_000, 1)).toEqual(['b']);
    expect(presence.offlineFor(1_000, 10)).toEqual(['b', 'c']);
    presence.noteAlerted(['b', 'c']);
    vi.advanceTimersByTime(1);
    expect(presence.offlineFor(1_000, 10)).toEqual(['a']);
  });

  it('count from when they were last found to be offline', () => {
    presence.startOffline('a');
    presence.startOffline('b');
    vi.advanceTimersByTime(500);
    presence.startOffline('a');
    vi.advanceTimersByTime(501);
    expect(presence.offlineFor(1_000, 10)).toEqual(['b']);
  });

  it('of a goodbye of an older connection are not', () => {
    presence.startOffline('a');
    presence.connect('a', 1);
    vi.advanceTimersByTime(1);
    expect(presence.offlineFor(0, 10)).toEqual([]);
    expect(presence.connect('a', 2), 'to be closed').toBe(1);
    expect(presence.connect('a', 2), 'a second hello').toBeUndefined();
    expect(presence.disconnect('a', 1)).toBe(false);
    expect(presence.isOnline('a')).toBe(true);
    expect(presence.disconnect('a', 2)).toBe(true);
    expect(presence.isOnline('a')).toBe(false);
  });
});

describe('hosts that report by HTTP', () => {
  it('are silent when their time is over, so many at a time, with the time of their last message', () => {
    presence.keepOnline('a', 1_000, AT + 1);
    presence.keepOnline('b', 1_000, AT + 2);
    presence.keepOnline('c', 1_001, AT + 3);
    vi.advanceTimersByTime(999);
    expect(presence.silentHosts(10)).toEqual([]);
    vi.advanceTimersByTime(1);
    const [a, b] = [
      { hostId: 'a', reportedAtMs: AT + 1 },
      { hostId: 'b', reportedAtMs: AT + 2 },
    ];
    expect(presence.silentHosts(1)).toEqual([a]);
    expect(presence.silentHosts(10)).toEqual([a, b]);
  });

  it('start to be offline when they are silent, but not if they are gone or connected by then', () => {
    for (const hostId of ['silent', 'removed', 'connected']) presence.keepOnline(hostId, 1, AT);
    presence.forget('removed');
    presence.connect('connected', 1);
    for (const hostId of ['silent', 'removed', 'connected']) presence.noteSilent(hostId);
    vi.advanceTimersByTime(1_000);
    expect(presence.offlineFor(0, 10)).toEqual(['silent']);
  });
});

it('a goodbye that could not be written is kept until just that one is written', () => {
  presence.rememberGoodbye('a', 1);
  const first = presence.unwritten;
  presence.rememberGoodbye('b', 2);
  presence.noteWritten([...first].slice(0, 1));
  expect(presence.unwritten).toEqual([{ hostId: 'b', connection: 2, atMs: AT }]);
});

it('a goodbye that is remembered twice is written once, with its first time, by the clock of the database', () => {
  const HOUR = 3_600_000;
  const ahead = new Presence(() => Date.now() + HOUR);
  ahead.rememberGoodbye('a', 1);
  vi.advanceTimersByTime(1_000);
  ahead.rememberGoodbye('a', 1);
  expect(ahead.unwritten).toEqual([{ hostId: 'a', connection: 1, atMs: AT + HOUR }]);
});

it('a host that is removed leaves nothing behind', () => {
  presence.connect('a', 1);
  presence.forget('a');
  presence.startOffline('b');
  presence.forget('b');
  presence.leaveToOther('c');
  presence.forget('c');
  vi.advanceTimersByTime(1_000);
  expect(['a', 'b', 'c'].filter((hostId) => presence.isOnline(hostId))).toEqual([]);
  expect(presence.offlineFor(0, 10)).toEqual([]);
  expect(presence.connectionOf('a')).toBeUndefined();
});

describe('hosts that another instance has marked offline', () => {
  it('are marked online again so many at a time, and those that have left meanwhile are not', () => {
    const offline = (hostId: string) => ({ ...OFFLINE, hostId });
    for (const [connection, hostId] of ['a', 'b', 'c'].entries()) {
      presence.connect(hostId, connection);
      expect(presence.follow(offline(hostId), AT)).toBeUndefined();
    }
    presence.disconnect('a', 0);
    const first = presence.toResume(1);
    expect(first).toEqual([{ hostId: 'b', connection: 1 }]);
    expect(presence.toResume(1), 'until it is noted').toEqual(first);
    presence.noteResumed(first);
    expect(presence.toResume(10)).toEqual([{ hostId: 'c', connection: 2 }]);
  });
});
