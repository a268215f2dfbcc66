import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Operation, Outcome } from '../../src/contract/operations.ts';
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
  isReplaced = false;
  /** Whether another process takes the lock as soon as a transaction has failed because of one of its operations. */
  isLockedNext = false;

  transactions = 0;

  override transaction<T>(work: () => T): T {
    this.transactions++;
    if (this.isLocked) throw failed(SQLITE_BUSY, 'database is locked');
    return super.transaction(() => {
      const before = this.rowsWritten();
      const result = this.#noteFailure(work);
      if (this.isFull && this.rowsWritten() > before) {
        throw failed(SQLITE_FULL, 'database or disk is full');
      }
      return result;
    });
  }

  #noteFailure<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.isLocked = this.isLockedNext;
      throw error;
    }
  }

  override lost(): string | undefined {
    return this.isReplaced ? 'fleet.db' : undefined;
  }
}

function failed(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { errcode });
}

let db: DatabaseSync;
let engine: FailingEngine;
let rig: StoreRig;
let hostId: string;
let connection: number;
let jobs = 0;

beforeEach(() => {
  vi.useFakeTimers({ now: AT });
  db = openInMemory();
  engine = new FailingEngine(db, undefined, {
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
  return rig.submitAll(starts(1));
}

function starts(count: number): Operation[] {
  return Array.from({ length: count }, () => {
    return ['startJob', { hostId, jobId: `${++jobs}`, kind: 'backup', startedAtMs: AT }];
  });
}

/** The outcomes in each message to a loop since the last call. */
function outcomes(loop = 0): (readonly Outcome[])[] {
  return rig.received(loop).flatMap((message) => ('outcomes' in message ? [message.outcomes] : []));
}

/** A finish that no engine stores, because no agent can send half a millisecond. */
function bad(): Operation {
  const job = { hostId, jobId: `${++jobs}`, kind: 'backup', startedAtMs: AT } as const;
  return ['finishJob', { ...job, status: 'failed', finishedAtMs: AT + 0.5 }];
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

  it('what comes after one was given up waits as long again', () => {
    engine.isLocked = true;
    for (let wait = 0; wait < 3; wait++) {
      expect(start(), `wait ${wait}`).toEqual([]);
      vi.advanceTimersByTime(3 * SECOND);
      expect(rig.received(), `wait ${wait}`).toEqual([]);
      vi.advanceTimersByTime(2 * SECOND);
      expect(rig.received(), `wait ${wait}`).toMatchObject([{ outcomes: [{ failure: {} }] }]);
    }
    expect(rig.logged).toEqual(['the database cannot be written']);
    expect(rig.counted('storeFailures')).toBe(3);
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

  it('what reads only is answered, and a batch that also writes waits', () => {
    engine.isLocked = true;
    const reads: Operation[] = [
      ['authenticate', { tokenDigest: Buffer.from('none') }],
      ['areHostChangesApplied', null],
      ['listHosts', null],
      ['showHost', { hostId }],
    ];
    for (const read of reads) expect(rig.submitAll([read]), read[0]).toMatchObject([{}]);
    expect(rig.submitAll([...reads, ...starts(1)])).toEqual([]);
    engine.isLocked = false;
    vi.advanceTimersByTime(SECOND);
    expect(outcomes()).toMatchObject([[{}, {}, {}, {}, { answer: 'recorded' }]]);
  });

  it('what was sent first is stored and answered first, each message by itself', () => {
    engine.isLocked = true;
    const rename: Operation = ['renameHost', { hostId, host: 'www' }];
    for (const message of [starts(1_200), [rename], starts(2)]) {
      expect(rig.submitAll(message)).toEqual([]);
    }
    vi.advanceTimersByTime(SECOND);
    engine.isLocked = false;
    vi.advanceTimersByTime(SECOND);
    const recorded = { answer: 'recorded' };
    expect(outcomes()).toEqual([
      Array.from({ length: 1_200 }, () => recorded),
      [{ answer: true }],
      [recorded, recorded],
    ]);
  });

  it('what the store itself has to write is not tried before what waits, and is no failure', () => {
    const saveClock = () => rig.batches.background(() => engine.saveClock(AT));
    engine.isLocked = true;
    expect(saveClock()).toBe(false);
    expect(start()).toEqual([]);
    engine.isLocked = false;
    expect(saveClock()).toBe(false);
    vi.advanceTimersByTime(SECOND);
    expect(saveClock()).toBe(true);
    expect(rig.logged).toEqual([]);
    expect(rig.counted('storeFailures')).toBe(0);
  });

  it('what waits when the store is closed has failed', () => {
    engine.isLocked = true;
    expect(rig.submitAll([['goodbye', { hostId, connection }], ...starts(1)])).toEqual([]);
    rig.batches.close();
    expect(outcomes()).toMatchObject([[{ answer: null }, { failure: { code: 'closed' } }]]);
    rig.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a batch waits also if it has to be repeated without an operation that fails', () => {
    engine.isLockedNext = true;
    expect(rig.submitAll([bad(), ...starts(1)])).toEqual([]);
    engine.isLocked = false;
    engine.isLockedNext = false;
    vi.advanceTimersByTime(SECOND);
    expect(outcomes()).toMatchObject([[{ failure: {} }, { answer: 'recorded' }]]);
  });
});

describe('what the store itself writes', () => {
  it('is logged and counted when it fails, because of the database or because of a defect', () => {
    engine.isFull = true;
    expect(rig.batches.background(() => engine.saveClock(AT))).toBe(false);
    expect(rig.logged).toEqual(['the database cannot be written']);
    const defect = () => {
      throw new TypeError('x is not a function');
    };
    expect(rig.batches.background(defect)).toBe(false);
    expect(rig.logged).toEqual([
      'the database cannot be written',
      'an operation failed unexpectedly',
    ]);
    expect(rig.counted('storeFailures')).toBe(2);
  });
});

describe('when the file of the database was replaced', () => {
  it('what was written to the old one is neither answered nor shown, and that is told once', () => {
    engine.isReplaced = true;
    expect(rig.submitAll([['repoStats', { hostId, snapshotCount: 9 }]])).toEqual([]);
    expect(rig.host('web')?.snapshotCount).toBe(0);
    expect(start()).toEqual([]);
    vi.advanceTimersByTime(5 * SECOND);
    expect(rig.lost).toEqual(['fleet.db']);
  });

  it('that is noticed within a second, though nobody reports', () => {
    engine.isReplaced = true;
    vi.advanceTimersByTime(SECOND);
    expect(rig.lost).toEqual(['fleet.db']);
  });

  it('what the store itself writes is not done', () => {
    const alsoReplaced = () => {
      engine.isReplaced = true;
    };
    expect(rig.batches.background(alsoReplaced)).toBe(false);
    expect(rig.lost).toEqual(['fleet.db']);
  });

  it('it is told no more once the store is closed', () => {
    rig.batches.close();
    engine.isReplaced = true;
    rig.batches.checkFiles();
    expect(rig.lost).toEqual([]);
  });
});

describe('one transaction', () => {
  it('takes what all loops have sent, up to 1,000 operations, the oldest of each loop first', () => {
    rig.close();
    rig = new StoreRig(engine, 3);
    for (const loop of [0, 1, 2]) rig.received(loop);
    rig.post(starts(2), 1);
    rig.post(starts(3), 2);
    rig.post(starts(4), 0);
    engine.transactions = 0;
    expect(rig.submitAll(starts(1))).toHaveLength(1);
    expect(engine.transactions).toBe(1);
    expect([...outcomes(1), ...outcomes(2)].map(({ length }) => length)).toEqual([2, 3]);

    rig.post(starts(999), 1);
    rig.post(starts(1), 2);
    expect(rig.submitAll(starts(1))).toHaveLength(1);
    expect(outcomes(1)).toHaveLength(1);
    expect(outcomes(2), 'it waits for the next one').toEqual([]);
    expect(rig.counted('answered')).toBe(1 + 2 + 3 + 4 + 1 + 999);
  });
});

describe('while the disk is full', () => {
  // https://www.sqlite.org/pragma.html#pragma_max_page_count
  it.each(['all at once', 'one by one, because another operation fails'])(
    'a batch is stored whole or not at all: %s',
    (how) => {
      const others = how === 'all at once' ? [] : [bad()];
      const { page_count: pages } = db.prepare('PRAGMA page_count').get() ?? {};
      db.exec(`PRAGMA max_page_count = ${pages}`);
      const job = { hostId, jobId: 'large', kind: 'check', startedAtMs: AT } as const;
      const end = { status: 'failed', finishedAtMs: AT + 1, error: 'x'.repeat(50_000) } as const;
      const large: Operation = ['finishJob', { ...job, ...end }];
      const outcomes = rig.submitAll([...others, ...starts(1), large, ...starts(1)]);
      expect(outcomes).toEqual(
        outcomes.map(() => ({
          failure: { code: 'database_failed', message: 'SQLite: database or disk is full' },
        })),
      );
      expect(db.prepare('SELECT count(*) AS jobs FROM jobs').get()).toEqual({ jobs: 0 });
      expect(rig.alerts('web')).toEqual([]);
      expect(rig.host('web')?.openAlerts.critical).toBe(0);
      expect(rig.logged).toContain('the database cannot be written');
      db.exec('PRAGMA max_page_count = 1000000');
      expect(rig.submitAll([...starts(1), large])).toMatchObject([
        { answer: 'recorded' },
        { answer: { first: true } },
      ]);
    },
  );

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
