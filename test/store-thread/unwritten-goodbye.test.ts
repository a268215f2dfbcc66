import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import { AT, StoreRig } from './store-rig.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** https://www.sqlite.org/rescode.html#full */
const SQLITE_FULL = 13;

/** SQLite on a disk that can be filled: then a transaction fails as SQLite's does, when it has done its work. */
class FillingEngine extends SqliteEngine {
  isFull = false;

  override transaction<T>(work: () => T): T {
    return super.transaction(() => {
      const result = work();
      if (this.isFull) {
        throw Object.assign(new Error('database or disk is full'), { errcode: SQLITE_FULL });
      }
      return result;
    });
  }

  /** What the database says of the host, whatever is kept in memory. */
  statusOf(hostId: string): string | undefined {
    for (const host of this.hosts()) if (host.hostId === hostId) return host.status;
    return undefined;
  }
}

describe('an agent that leaves while the disk is full', () => {
  let engine: FillingEngine;
  let rig: StoreRig;
  let hostId: string;
  let connection: number;

  beforeEach(() => {
    vi.useFakeTimers({ now: AT });
    engine = new FillingEngine(openInMemory(), undefined, {
      serves: true,
      onForgottenJobs: () => {},
    });
    rig = new StoreRig(engine);
    hostId = rig.enrol('web');
    connection = rig.hello(hostId);
    engine.isFull = true;
    expect(rig.submit('goodbye', { hostId, connection }), 'never fails').toBeNull();
  });

  afterEach(() => {
    rig.close();
    engine.close();
    vi.useRealTimers();
  });

  it('is offline at once, though the database still has it online', () => {
    expect(rig.host('web')?.online).toBe(false);
    expect(engine.statusOf(hostId)).toBe('online');
    expect(rig.logged).toEqual(['the database cannot be written']);
  });

  it('is offline in the database soon after there is room, without anybody reporting', () => {
    vi.advanceTimersByTime(10 * SECOND);
    expect(engine.statusOf(hostId), 'there is no room so far').toBe('online');
    engine.isFull = false;
    vi.advanceTimersByTime(2 * SECOND);
    expect(engine.statusOf(hostId)).toBe('offline');
    expect(rig.host('web')?.online).toBe(false);
    expect(rig.logged).toEqual([
      'the database cannot be written',
      'the database can be written again',
    ]);
  });

  it('is offline in the database since it left, not since there was room', () => {
    vi.advanceTimersByTime(10 * SECOND);
    engine.isFull = false;
    vi.advanceTimersByTime(2 * SECOND);
    const [host] = engine.hosts();
    expect(host?.offlineSinceMs).toBe(AT);
  });

  it('is offline in the database with the next thing that is written', () => {
    engine.isFull = false;
    rig.enrol('mail');
    expect(engine.statusOf(hostId)).toBe('offline');
  });

  it('has its alert 15 minutes after it left, however long the disk was full', () => {
    vi.advanceTimersByTime(14 * MINUTE);
    engine.isFull = false;
    vi.advanceTimersByTime(30 * SECOND);
    expect(rig.alerts('web')).toEqual([]);
    vi.advanceTimersByTime(MINUTE);
    expect(rig.alerts('web')).toEqual(['agent_offline']);
  });

  it('has its alert also if there is room only later', () => {
    vi.advanceTimersByTime(20 * MINUTE);
    expect(rig.alerts('web')).toEqual([]);
    engine.isFull = false;
    vi.advanceTimersByTime(10 * SECOND);
    expect(rig.alerts('web')).toEqual(['agent_offline']);
  });

  it('stays online if it is back before its goodbye is written', () => {
    engine.isFull = false;
    rig.hello(hostId);
    vi.advanceTimersByTime(5 * SECOND);
    expect(rig.host('web')?.online).toBe(true);
    expect(engine.statusOf(hostId)).toBe('online');
  });

  it('is written once, not with each transaction for ever', () => {
    engine.isFull = false;
    vi.advanceTimersByTime(2 * SECOND);
    expect(rig.presence.unwritten).toEqual([]);
  });
});

it('after an outage the goodbyes of a large fleet are written in several transactions', () => {
  vi.useFakeTimers({ now: AT });
  const engine = new FillingEngine(openInMemory(), undefined, {
    serves: true,
    onForgottenJobs: () => {},
  });
  const rig = new StoreRig(engine);
  const names = Array.from({ length: 2_500 }, (_, n) => `host-${n}`);
  const hosts = rig.submit('addHosts', { hosts: names });
  const connections = hosts.map(({ hostId }) => ({ hostId, connection: rig.hello(hostId) }));
  engine.isFull = true;
  rig.submitAll(connections.map((goodbye) => ['goodbye', goodbye] as const));
  engine.isFull = false;
  const offline = () => [...engine.hosts()].filter(({ status }) => status === 'offline').length;
  expect(offline()).toBe(0);
  const seen = new Set<number>();
  for (let second = 0; second < 5; second++) {
    vi.advanceTimersByTime(SECOND);
    seen.add(offline());
  }
  expect([...seen]).toEqual([1_000, 2_000, 2_500]);
  rig.close();
  engine.close();
  vi.useRealTimers();
});
