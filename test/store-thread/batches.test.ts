import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Publisher } from '../../src/store-thread/publisher.ts';
import { openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import { AT, StoreRig } from './store-rig.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/** SQLite whose transactions fail as SQLite's do while another process has the lock, or the disk is full. */
class FailingEngine extends SqliteEngine {
  isLocked = false;
  isFull = false;

  transactions = 0;

  override transaction<T>(work: () => T): T {
    this.transactions++;
    if (this.isLocked) throw failed(SQLITE_BUSY, 'database is locked');
    return super.transaction(() => {
      const before = this.rowsWritten();
      const result = work();
      if (this.isFull && this.rowsWritten() > before) {
        throw failed(SQLITE_FULL, 'database or disk is full');
      }
      return result;
    });
  }
}

function failed(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { errcode });
}

let engine: FailingEngine;
let rig: StoreRig;
let hostId: string;
let connection: number;
let jobs = 0;

beforeEach(() => {
  vi.useFakeTimers({ now: AT });
  engine = new FailingEngine(openInMemory(), undefined, {
    serves: true,
    onForgottenJobs: () => {},
  });
  rig = new StoreRig(engine);
  hostId = rig.enrol('web');
  connection = rig.hello(hostId);
});

afterEach(() => {
  rig.close();
  engine.close();
  vi.useRealTimers();
});

/** What the loop is answered at once: nothing, while the store waits for the lock. */
function start() {
  const job = { hostId, jobId: `${++jobs}`, kind: 'backup', startedAtMs: AT } as const;
  return rig.submitAll([['startJob', job]]);
}

describe('while another process has the lock on the database', () => {
  it('nothing is answered for 4 s, and then it is given up', () => {
    engine.isLocked = true;
    expect(start()).toEqual([]);
    vi.advanceTimersByTime(3 * SECOND);
    expect(rig.received()).toEqual([]);
    vi.advanceTimersByTime(2 * SECOND);
    expect(rig.received()).toMatchObject([{ outcomes: [{ failure: {} }] }]);
  });

  it('each wait is as long, whenever the lock before it was', () => {
    for (let lock = 0; lock < 3; lock++) {
      engine.isLocked = true;
      expect(start()).toEqual([]);
      vi.advanceTimersByTime(3 * SECOND);
      expect(rig.received(), `lock ${lock}`).toEqual([]);
      engine.isLocked = false;
      vi.advanceTimersByTime(SECOND);
      expect(rig.received()).toEqual([{ outcomes: [{ answer: 'recorded' }] }]);
      vi.advanceTimersByTime(10 * SECOND);
    }
  });

  it.each(['first', 'behind others'])('an agent that leaves is offline at once (%s)', (place) => {
    engine.isLocked = true;
    if (place === 'behind others') expect(start()).toEqual([]);
    expect(rig.submitAll([['goodbye', { hostId, connection }]])).toEqual([]);
    expect(rig.host('web')?.online).toBe(false);
    engine.isLocked = false;
    vi.advanceTimersByTime(SECOND);
    rig.received();
    expect(rig.submit('listHosts', null)).toMatchObject([{ status: 'offline' }]);
  });
});

describe('while the disk is full', () => {
  it('it is not logged to be over because something was read', () => {
    engine.isFull = true;
    expect(start()).toMatchObject([{ failure: { message: expect.stringContaining('full') } }]);
    rig.submit('listHosts', null);
    vi.advanceTimersByTime(5 * MINUTE);
    expect(rig.logged).toEqual(['the database cannot be written']);
    engine.isFull = false;
    start();
    expect(rig.logged).toEqual([
      'the database cannot be written',
      'the database can be written again',
    ]);
  });
});

it('what waited for the lock is stored in several transactions, of some 1,000 operations each', () => {
  engine.isLocked = true;
  const job = { hostId, kind: 'backup', startedAtMs: AT } as const;
  for (let message = 0; message < 10; message++) {
    const operations = Array.from({ length: 300 }, (_, n) => {
      return ['startJob', { ...job, jobId: `${message}-${n}` }] as const;
    });
    expect(rig.submitAll(operations)).toEqual([]);
  }
  engine.isLocked = false;
  engine.transactions = 0;
  vi.advanceTimersByTime(10);
  expect(engine.transactions).toBe(3);
  expect(rig.received()).toHaveLength(10);
});

it('what was committed is answered, though it cannot be shown', () => {
  vi.spyOn(Publisher.prototype, 'publish').mockImplementationOnce(() => {
    throw new Error('cannot be shown');
  });
  expect(start()).toEqual([{ answer: 'recorded' }]);
  expect(rig.logged).toEqual(['an operation failed unexpectedly']);
});

it('what is accepted after the store was closed is neither stored nor answered', () => {
  rig.batches.close();
  expect(start()).toEqual([]);
  expect(
    engine
      .load({ hostIds: new Set(), jobs: [{ hostId, jobId: `${jobs}` }] })
      .job(hostId, `${jobs}`),
  ).toBeUndefined();
});
