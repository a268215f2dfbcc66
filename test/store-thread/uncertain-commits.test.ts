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

it('only the last 1,000 transactions are remembered, and a loop that serves agents observes them', () => {
  const loops = [new MessageChannel(), new MessageChannel()] as const;
  const clients = new Clients();
  for (const [loop, { port1, port2 }] of loops.entries()) {
    clients.add(loop, { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) }, []);
    receiveMessageOnPort(port2); // the tokens
  }
  const asked: string[] = [];
  const engine = { isCommitted: (id: string) => asked.push(id) > 0 } as unknown as Engine;
  const commits = new UncertainCommits(engine, clients);
  for (let id = 0; id < 1_001; id++) commits.add(`${id}`, OPERATIONS, OUTCOMES);
  commits.resolve();
  expect(asked).toEqual(Array.from({ length: 1_000 }, (_, n) => `${n + 1}`));
  // The first loop is that of the main thread, which serves no agents if there are others.
  expect(receiveMessageOnPort(loops[0].port2)).toBeUndefined();
  expect(receiveMessageOnPort(loops[1].port2)).toBeDefined();
  for (const { port1 } of loops) port1.close();
});
