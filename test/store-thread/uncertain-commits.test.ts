import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { Operation, Outcome } from '../../src/contract/operations.ts';
import { Clients } from '../../src/store-thread/clients.ts';
import type { Engine } from '../../src/store-thread/engine.ts';
import { UncertainCommits } from '../../src/store-thread/uncertain-commits.ts';

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

it.each<[string, (boolean | undefined)[], number]>([
  ['was committed', [true], 1],
  ['was not', [false], 0],
  ['is found to be committed later', [undefined, undefined, true], 1],
])('the first finishes of a transaction are observed once if it %s', (_, answers, times) => {
  const { port1, port2 } = new MessageChannel();
  const clients = new Clients();
  clients.add(0, { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) }, []);
  receiveMessageOnPort(port2); // the tokens
  const left = [...answers];
  const engine = { isCommitted: () => left.shift() } as unknown as Engine;
  const commits = new UncertainCommits(engine, clients);
  commits.add('77', OPERATIONS, OUTCOMES);
  for (let n = 0; n < 5; n++) commits.resolve();
  const received: unknown[] = [];
  for (let next = receiveMessageOnPort(port2); next; next = receiveMessageOnPort(port2)) {
    received.push(next.message);
  }
  const finished = [{ kind: 'check', status: 'failed', durationMs: 7 }];
  expect(received).toEqual(Array.from({ length: times }, () => ({ finished })));
  expect(left, 'it is not asked for again').toEqual([]);
  port1.close();
});
