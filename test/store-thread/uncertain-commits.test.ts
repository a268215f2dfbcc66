import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import type { Operation, Outcome } from '../../src/contract/operations.ts';
import { Clients } from '../../src/store-thread/clients.ts';
import { MAX_UNCERTAIN, UncertainCommits } from '../../src/store-thread/uncertain-commits.ts';

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
