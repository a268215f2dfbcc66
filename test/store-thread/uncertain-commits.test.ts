import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Operation, Outcome } from '../../src/contract/operations.ts';
import { Clients } from '../../src/store-thread/clients.ts';
import type { Failure } from '../../src/store-thread/engine.ts';
import type { JobName } from '../../src/store-thread/rows.ts';
import { openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import { MAX_UNCERTAIN, UncertainCommits } from '../../src/store-thread/uncertain-commits.ts';
import { AT, StoreRig } from './store-rig.ts';

const OPERATIONS: readonly Operation[] = [
  ['repoStats', { hostId: 'h', snapshotCount: 1 }],
  ['finishJob', { hostId: 'h', jobId: 'first', status: 'failed', finishedAtMs: 9 }],
  ['finishJob', { hostId: 'h', jobId: 'repeat', status: 'failed', finishedAtMs: 9 }],
  ['finishJob', { hostId: 'h', jobId: 'other', status: 'failed', finishedAtMs: 9 }],
];
const OUTCOMES: readonly Outcome[] = [
  { answer: 'recorded' },
  { answer: { first: true, kind: 'check', durationMs: 7 } },
  { answer: { first: false } },
  { answer: 'job_conflict' },
];

const FIRST = [{ kind: 'check', status: 'failed', durationMs: 7 }];

function withLoop(): { commits: UncertainCommits; observed: () => unknown[] } {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const clients = new Clients();
  clients.add(0, { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) }, []);
  receiveMessageOnPort(port2); // the tokens
  const observed = () => {
    const received: unknown[] = [];
    for (let next = receiveMessageOnPort(port2); next; next = receiveMessageOnPort(port2)) {
      received.push(next.message);
    }
    return received;
  };
  return { commits: new UncertainCommits(clients), observed };
}

it.each<[string, (boolean | undefined)[], number]>([
  ['was committed', [true], 1],
  ['was not', [false], 0],
  ['is found to be committed later', [undefined, undefined, true], 1],
])('the first finishes of a transaction are observed once if it %s', (_, answers, times) => {
  const { commits, observed } = withLoop();
  commits.add(OPERATIONS, OUTCOMES);
  for (const stored of answers) {
    const finishes = commits.next();
    expect(finishes.map(({ jobId }) => jobId)).toEqual(['first']);
    commits.resolve(finishes, [stored]);
  }
  expect(observed()).toEqual(Array.from({ length: times }, () => ({ finished: FIRST })));
  expect(commits.next(), 'it is not asked for again').toEqual([]);
});

it('a finish that is repeated and is the first one again is not observed a second time', () => {
  const { commits, observed } = withLoop();
  commits.add(OPERATIONS, OUTCOMES);
  commits.add(OPERATIONS, OUTCOMES);
  expect(commits.next()).toHaveLength(1);
  commits.noteCommitted(OPERATIONS, OUTCOMES);
  expect(commits.next()).toEqual([]);
  expect(observed()).toEqual([]);
});

it('no more than a limited number of finishes is remembered', () => {
  const { commits } = withLoop();
  const finishes = Array.from(
    { length: MAX_UNCERTAIN + 1 },
    (_, n): Operation => [
      'finishJob',
      { hostId: 'h', jobId: `${n}`, status: 'failed', finishedAtMs: 9 },
    ],
  );
  const first: Outcome = { answer: { first: true, kind: 'check', durationMs: 7 } };
  const outcomes = Array.from(finishes, () => first);
  expect(commits.add(finishes, outcomes), 'dropped').toBe(1);
  expect(commits.next()[0]?.jobId).toBe('1');
});

it('the database is asked about 1,000 finishes at a time, and about all of them in turn', () => {
  const { commits } = withLoop();
  const finishes = Array.from({ length: 1_500 }, (_, n): Operation => {
    return ['finishJob', { hostId: 'h', jobId: `${n}`, status: 'failed', finishedAtMs: 9 }];
  });
  const first: Outcome = { answer: { first: true, kind: 'check', durationMs: 7 } };
  commits.add(
    finishes,
    finishes.map(() => first),
  );
  const asked = commits.next();
  expect(asked).toHaveLength(1_000);
  commits.resolve(asked, []);
  expect(commits.next().map(({ jobId }) => Number(jobId))).toEqual([
    ...Array.from({ length: 500 }, (_, n) => 1_000 + n),
    ...Array.from({ length: 500 }, (_, n) => n),
  ]);
});

// The first loop is that of the main thread, which serves no agents if there are others.
it('a loop that serves agents observes the finishes', () => {
  const loops = [new MessageChannel(), new MessageChannel()] as const;
  const clients = new Clients();
  for (const [loop, { port1, port2 }] of loops.entries()) {
    onTestFinished(() => port1.close());
    clients.add(loop, { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) }, []);
    receiveMessageOnPort(port2); // the tokens
  }
  const commits = new UncertainCommits(clients);
  commits.add(OPERATIONS, OUTCOMES);
  commits.resolve(commits.next(), [true]);
  expect(receiveMessageOnPort(loops[0].port2)).toBeUndefined();
  expect(receiveMessageOnPort(loops[1].port2)?.message).toEqual({ finished: FIRST });
});

class LostConnection extends Error {}

/** SQLite whose commits lose their answer, as those of PostgreSQL do when the connection breaks. */
class LosingEngine extends SqliteEngine {
  /** Whether a transaction was committed although its answer is lost; undefined if no answer is lost. */
  losing: 'committed' | 'undone' | undefined;
  /** What the database says when it is asked whether this process has stored a finish. */
  isStored: boolean | undefined = true;
  readonly asked: string[][] = [];

  constructor() {
    super(openInMemory(), undefined, { serves: true, onForgottenJobs: () => {} });
  }

  override transaction<T>(work: () => T): T {
    const { losing } = this;
    const result = super.transaction(() => {
      const result = work();
      if (losing === 'undone') throw new LostConnection();
      return result;
    });
    if (losing === 'committed') throw new LostConnection();
    return result;
  }

  override failure(error: unknown): Failure {
    if (!(error instanceof LostConnection)) return super.failure(error);
    const message = 'the connection was lost';
    return { kind: 'unavailable', code: 'database_failed', message, isUncertain: true };
  }

  override haveFinished(jobs: readonly JobName[] = []): readonly boolean[] {
    const { isStored } = this;
    this.asked.push(jobs.map(({ jobId }) => jobId));
    return isStored === undefined ? [] : jobs.map(() => isStored);
  }
}

describe('the finishes of a batch whose commit lost its answer', () => {
  const SECOND = 1_000;
  let engine: LosingEngine;
  let rig: StoreRig;
  let hostId: string;

  beforeEach(() => {
    vi.useFakeTimers({ now: AT });
    engine = new LosingEngine();
    rig = new StoreRig(engine);
    hostId = rig.online('web');
    rig.received();
  });

  afterEach(() => {
    rig.close();
    engine.close();
    vi.useRealTimers();
  });

  const finish = (jobId = 'one', finishedAtMs = AT): Operation => [
    'finishJob',
    { hostId, jobId, kind: 'check', status: 'failed', startedAtMs: AT - 7, finishedAtMs },
  ];
  const observed = () => rig.received().filter((message) => 'finished' in message);
  /** The finish, alone or after one that no engine stores, because of which the batch is repeated one by one. */
  const batch = (isRepeated: boolean): Operation[] =>
    isRepeated ? [finish('bad', AT + 0.5), finish()] : [finish()];

  it.each([false, true])(
    'are observed if they are stored (repeated one by one: %s)',
    (repeated) => {
      engine.losing = 'committed';
      for (const outcome of rig.submitAll(batch(repeated))) {
        expect(outcome).toMatchObject({ failure: { code: 'database_failed' } });
      }
      expect(observed()).toEqual([]);
      engine.losing = undefined;
      vi.advanceTimersByTime(SECOND);
      expect(observed()).toEqual([{ finished: FIRST }]);
      vi.advanceTimersByTime(5 * SECOND);
      expect(observed()).toEqual([]);
      expect(rig.submitAll([finish()])).toEqual([{ answer: { first: false } }]);
    },
  );

  it.each([false, true])(
    'are not observed a second time after a repetition was the first (repeated one by one: %s)',
    (repeated) => {
      engine.losing = 'undone';
      rig.submitAll(batch(repeated));
      engine.losing = undefined;
      expect(rig.submitAll(batch(repeated)).at(-1)).toMatchObject({ answer: { first: true } });
      vi.advanceTimersByTime(5 * SECOND);
      expect(observed()).toEqual([]);
      expect(engine.asked).toEqual([]);
    },
  );

  it('are asked for once a second at most', () => {
    engine.losing = 'committed';
    rig.submitAll([finish()]);
    engine.losing = undefined;
    engine.isStored = undefined;
    vi.advanceTimersByTime(5 * SECOND);
    expect(engine.asked.length).toBeGreaterThan(3);
    expect(engine.asked.length).toBeLessThan(7);
  });

  it('are observed only when the answer of the database is certain itself', () => {
    engine.losing = 'committed';
    rig.submitAll([finish()]);
    vi.advanceTimersByTime(3 * SECOND);
    expect(engine.asked).not.toEqual([]);
    expect(observed()).toEqual([]);
    engine.losing = undefined;
    vi.advanceTimersByTime(2 * SECOND);
    expect(observed()).toEqual([{ finished: FIRST }]);
  });

  it('are logged if there are too many to remember them', () => {
    engine.losing = 'undone';
    const add = vi.spyOn(UncertainCommits.prototype, 'add');
    rig.submitAll([finish('0')]);
    // Many batches later. To lose the answers of so many here would take seconds.
    const others = Array.from({ length: MAX_UNCERTAIN - 1 }, (_, n) => finish(`${n + 1}`));
    const first: Outcome = { answer: { first: true, kind: 'check', durationMs: 7 } };
    const outcomes = others.map(() => first);
    expect((add.mock.contexts[0] as UncertainCommits).add(others, outcomes)).toBe(0);
    expect(rig.logged).toEqual(['the database cannot be written']);
    rig.submitAll([finish('last')]);
    expect(rig.logged).toEqual([
      'the database cannot be written',
      'an operation failed unexpectedly',
    ]);
    expect(rig.counted('storeFailures')).toBe(3);
    add.mockRestore();
  });

  it('are not asked for if the database says that it has stored nothing', () => {
    vi.spyOn(engine, 'failure').mockReturnValueOnce({
      kind: 'unavailable',
      code: 'database_failed',
      message: 'the disk is full',
    });
    engine.losing = 'undone';
    rig.submitAll([finish()]);
    engine.losing = undefined;
    vi.advanceTimersByTime(5 * SECOND);
    expect(engine.asked).toEqual([]);
  });
});
