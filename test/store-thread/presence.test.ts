import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Presence } from '../../src/store-thread/presence.ts';
import { OFFLINE, ONLINE, REPORTING } from './rules/record.ts';

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

describe('a host that another instance has written', () => {
  const ELSEWHERE = { ...ONLINE, connection: undefined, isElsewhere: true };
  const { hostId } = OFFLINE;
  const HOUR = 3_600_000;
  /** The hosts that are due for an alert a moment later. */
  const due = () => {
    vi.advanceTimersByTime(1);
    return presence.offlineFor(0, 10);
  };

  it('is online there until it is not, and offline from then on', () => {
    presence.startOffline(hostId);
    expect(presence.follow(ELSEWHERE, AT)).toBeUndefined();
    expect(presence.isOnline(hostId)).toBe(true);
    expect(due()).toEqual([]);
    expect(presence.follow(OFFLINE, AT)).toBeUndefined();
    expect(presence.isOnline(hostId)).toBe(false);
    expect(due()).toEqual([hostId]);
  });

  it('is offline when it has been silent by HTTP for too long', () => {
    presence.follow(REPORTING, AT);
    expect(presence.isOnline(hostId)).toBe(true);
    presence.follow(OFFLINE, AT);
    expect(presence.isOnline(hostId)).toBe(false);
    expect(due()).toEqual([hostId]);
  });

  it('is offline since it was first seen so, whatever else of it changes', () => {
    presence.follow(OFFLINE, AT);
    vi.advanceTimersByTime(HOUR);
    presence.follow({ ...OFFLINE, host: 'renamed' }, AT);
    vi.advanceTimersByTime(1);
    expect(presence.offlineFor(HOUR, 10)).toEqual([hostId]);
  });

  it('is not due for an alert that is open, nor while it is pending', () => {
    presence.startOffline(hostId);
    presence.follow({ ...OFFLINE, alerts: { agent_offline: AT } }, AT);
    presence.follow({ ...OFFLINE, hostId: 'pending', status: 'pending' }, AT);
    expect(due()).toEqual([]);
  });

  it('loses its connection here when it has connected there', () => {
    presence.connect(hostId, 7);
    expect(presence.follow(ELSEWHERE, AT), 'to be closed').toBe(7);
    expect(presence.connectionOf(hostId)).toBeUndefined();
    expect(presence.isOnline(hostId)).toBe(true);
    expect(presence.disconnect(hostId, 7), 'its late goodbye').toBe(false);
    expect(presence.toResume(10)).toEqual([]);
  });

  it('is here again when it connects here, though it was there or reported by HTTP', () => {
    presence.follow(ELSEWHERE, AT);
    presence.follow({ ...REPORTING, hostId: 'by HTTP' }, AT);
    for (const [connection, id] of [hostId, 'by HTTP'].entries()) {
      presence.connect(id, connection);
      expect(presence.disconnect(id, connection)).toBe(true);
      expect(presence.isOnline(id)).toBe(false);
    }
  });

  it('keeps its connection here if that is the one that was written', () => {
    presence.connect(hostId, 7);
    expect(presence.follow({ ...ONLINE, connection: 7 }, AT)).toBeUndefined();
    expect(presence.connectionOf(hostId)).toBe(7);
    expect(presence.toResume(10)).toEqual([]);
  });

  // Its hello was stored, but the answer to the commit was lost, and so the agent was sent away.
  it('with a connection to this one that does not exist any more is offline, which must be written', () => {
    presence.follow({ ...ONLINE, connection: 7 }, AT);
    expect(presence.isOnline(hostId)).toBe(false);
    expect(presence.unwritten).toEqual([{ hostId, connection: 7, atMs: AT }]);
    expect(due()).toEqual([hostId]);
  });

  it('by HTTP may be silent for the rest of its time, however wrong the clock', () => {
    const agent = { agentVersion: '1', hostname: 'x', backupIntervalSeconds: 3_600 };
    for (const [id, reportedAtMs] of Object.entries({ late: AT - HOUR, future: AT + HOUR })) {
      presence.follow({ ...REPORTING, hostId: id, reportedAtMs, agent }, AT);
    }
    vi.advanceTimersByTime(0.1 * HOUR);
    expect(presence.silentHosts(10).map(({ hostId }) => hostId)).toEqual(['late']);
    vi.advanceTimersByTime(HOUR);
    expect(presence.silentHosts(10).map(({ hostId }) => hostId)).toEqual(['late', 'future']);
  });

  it('has left this instance altogether when it connects to another one in the meantime', () => {
    presence.connect(hostId, 7);
    expect(presence.leaveToOther(hostId)).toBe(7);
    presence.keepOnline('by HTTP', 1, AT);
    presence.startOffline('offline');
    expect(presence.leaveToOther('by HTTP')).toBeUndefined();
    presence.leaveToOther('offline');
    expect(due()).toEqual([]);
    expect(presence.silentHosts(10)).toEqual([]);
    for (const id of [hostId, 'by HTTP', 'offline']) expect(presence.isOnline(id)).toBe(true);
  });
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
