import { expect, onTestFinished, test, vi } from 'vitest';
import { ANSWER_LIMIT_MS, type Query } from '../../../src/contract/queries.ts';
import { MAX_WAITING_QUERIES, QueryThread } from '../../../src/loop/doors/query-thread.ts';
import { STRUCTURE_VERSION, viewFleetBuffer } from '../../../src/shared/fleet-layout.ts';
import { FleetTable } from '../../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../../src/shared/job-histogram.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { inTime } from '../../support/in-time.ts';
import { unless } from '../../support/programs.ts';
import { temporaryDirectory } from '../../support/serve.ts';
import { lowPriorityThreads, NO_THREAD_PRIORITY } from '../../support/thread-priority.ts';

const ID = '01JD8Z5N3V9Q4R7T2W6X8Y0A1B';
const LIST: Query = { name: 'hosts', states: [], search: '', limit: 10, after: undefined };

function setUp(options: { hasDatabase?: boolean; jobs?: SharedArrayBuffer } = {}) {
  const dataDir = temporaryDirectory();
  const createDatabase = () =>
    SqliteEngine.open(dataDir, { serves: false, onForgottenJobs: () => {} }).close();
  if (options.hasDatabase !== false) createDatabase();
  const fleet = new FleetTable();
  fleet.upsert({ hostId: ID, host: 'web', online: true });
  const tables = [new FleetTable().buffer, fleet.buffer];
  const jobs = options.jobs ?? JobHistogram.create().buffer;
  const thread = new QueryThread({ tables, dataDir, databaseUrl: undefined, version: '1', jobs });
  onTestFinished(() => thread.close());
  const names = async () => {
    const answer = await thread.ask(LIST);
    if ('failed' in answer) return answer.failed;
    const { hosts } = JSON.parse(Buffer.from(answer.json).toString());
    return hosts.map(({ host }: { host: string }) => host);
  };
  return { thread, fleet, names, createDatabase };
}

const BEFORE = NO_THREAD_PRIORITY === '' ? lowPriorityThreads() : 0;

// The first test, so that no thread of an earlier one is counted.
unless(NO_THREAD_PRIORITY).test('a thread lets the agents run first', async () => {
  expect(await setUp().names()).toEqual(['web']);
  expect(lowPriorityThreads()).toBeGreaterThan(BEFORE);
});

test('starts with the first request', async () => {
  const { thread, names } = setUp();
  expect(thread.thread).toBeUndefined();
  expect(await names()).toEqual(['web']);
  expect(thread.thread).toBeDefined();
});

test('a thread that dies fails its requests, and the next one gets another thread', async () => {
  const { thread, names } = setUp();
  expect(await names()).toEqual(['web']);
  const dying = thread.thread;
  const waiting = [names(), names()];
  await dying?.terminate();
  for (const answer of await Promise.all(waiting))
    expect(answer).toSatisfy((got: unknown) => {
      // The answer may have been on its way.
      return got === 'api_failed' || JSON.stringify(got) === '["web"]';
    });
  expect(await names()).toEqual(['web']);
  expect(thread.thread).not.toBe(dying);
});

test('a thread that hangs is ended, its requests fail in time, and its successor stays', async () => {
  const { fleet, names, thread } = setUp();
  expect(await names()).toEqual(['web']);
  const { control } = viewFleetBuffer(fleet.buffer);
  const hanging = thread.thread;
  const ended = new Promise((resolve) => hanging?.on('exit', resolve));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  // The table looks as if its writer were in the middle of a change.
  Atomics.add(control, STRUCTURE_VERSION, 1);
  const waiting = [names(), names()];
  vi.advanceTimersByTime(ANSWER_LIMIT_MS - 1);
  expect(thread.thread).toBe(hanging);
  vi.advanceTimersByTime(1);
  expect(await Promise.all(waiting)).toEqual(['api_too_late', 'api_too_late']);
  Atomics.add(control, STRUCTURE_VERSION, 1);
  const next = names();
  const successor = thread.thread;
  expect(successor).not.toBe(hanging);
  await inTime(ended, 'the thread that hung still runs');
  expect(await next).toEqual(['web']);
  expect(await names()).toEqual(['web']);
  expect(thread.thread).toBe(successor);
});

test('64 requests wait at most, and the next ones are answered when these are', async () => {
  const { names } = setUp();
  const answers = Array.from({ length: MAX_WAITING_QUERIES + 2 }, () => names());
  const codes = await Promise.all(answers);
  expect(MAX_WAITING_QUERIES).toBe(64);
  expect(codes.slice(0, 64)).toEqual(Array(64).fill(['web']));
  expect(codes.slice(64)).toEqual(['too_many_requests', 'too_many_requests']);
  expect(await names()).toEqual(['web']);
});

test('requests of a thread that cannot start fail with the reason, each time', async () => {
  const { thread } = setUp({ jobs: new SharedArrayBuffer(1) });
  for (let n = 0; n < 2; n++) {
    expect(await thread.ask(LIST)).toEqual({
      failed: 'api_failed',
      message: expect.stringMatching(/^the query thread died: ./),
    });
  }
});

test('a thread that has answered is kept', async () => {
  const { names, thread } = setUp();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  expect(await names()).toEqual(['web']);
  const kept = thread.thread;
  vi.advanceTimersByTime(2 * ANSWER_LIMIT_MS);
  expect(thread.thread).toBe(kept);
  expect(await names()).toEqual(['web']);
});

test('a database that cannot be read fails what needs it, until it can be', async () => {
  const { thread, names, createDatabase } = setUp({ hasDatabase: false });
  const fleet = async () => {
    const answer = await thread.ask({ name: 'fleet' });
    if (!('json' in answer)) return answer;
    const { running } = JSON.parse(Buffer.from(answer.json).toString());
    return { running, lacks: answer.lacks };
  };
  const why = expect.stringContaining('SQLite: ');
  expect(await thread.ask({ name: 'host', hostId: ID })).toEqual({
    failed: 'api_failed',
    message: why,
  });
  expect(await fleet()).toEqual({ running: null, lacks: why });
  expect(await names()).toEqual(['web']);
  createDatabase();
  expect(await fleet()).toEqual({ running: expect.objectContaining({ backup: 0 }) });
  expect(await thread.ask({ name: 'host', hostId: ID })).toHaveProperty('json');
});

test('requests fail while it closes and afterwards', async () => {
  const { thread, names } = setUp();
  expect(await names()).toEqual(['web']);
  const waiting = names();
  await thread.close();
  expect([['web'], 'api_failed']).toContainEqual(await waiting);
  expect(await names()).toBe('api_failed');
});

test('it is closed within a few seconds, although its thread hangs', async () => {
  const { thread, fleet, names } = setUp();
  expect(await names()).toEqual(['web']);
  Atomics.add(viewFleetBuffer(fleet.buffer).control, STRUCTURE_VERSION, 1);
  // The thread gives up each of them after some seconds.
  const waiting = Array.from({ length: 20 }, () => thread.ask(LIST));
  await inTime(thread.close(), 'it is not closed');
  const answers = new Set((await Promise.all(waiting)).map((answer) => JSON.stringify(answer)));
  expect([...answers]).toEqual(['{"failed":"api_failed","message":"shutting down"}']);
});
