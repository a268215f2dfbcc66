import type { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import type { RmError } from '../../src/errors.ts';
import { AgentLoops } from '../../src/loop/agent-loops.ts';
import { Store } from '../../src/loop/doors/store.ts';
import { SocketLimit } from '../../src/loop/http/socket-limit.ts';
import { Listener } from '../../src/loop/listener.ts';
import { EventLog } from '../../src/platform/event-log.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { inTime } from '../support/in-time.ts';
import { eventually, temporaryDirectory } from '../support/serve.ts';

test('if a loop cannot start, those before it end, and the cause is known', async () => {
  const store = await Store.open({
    dataDir: temporaryDirectory(),
    missing: 'create',
    serving: undefined,
  });
  onTestFinished(() => store.close());
  const listener = new Listener(undefined, undefined);
  onTestFinished(() => listener.close());
  const workers: Worker[] = [];
  const ended: Worker[] = [];
  const watch = (worker: Worker) => {
    workers.push(worker);
    worker.on('exit', () => ended.push(worker));
  };
  process.on('worker', watch);
  onTestFinished(async () => {
    process.off('worker', watch);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });
  const deaths: RmError[] = [];
  const options = {
    count: 3,
    openSockets: SocketLimit.allocate(),
    store,
    jobs: JobHistogram.create().buffer,
    stats: ServerStats.create().buffer,
    events: EventLog.allocate(),
    logLevel: 'silent',
    access: {},
    renders: undefined,
    queries: undefined,
    onDeath: (error: RmError) => deaths.push(error),
    /** The files of the certificate are gone when the second loop starts. */
    get tls() {
      return workers.length === 0 ? undefined : { certFile: '/nowhere', keyFile: '/nowhere' };
    },
  };
  const failure = { code: 'closed', cause: { message: expect.stringMatching(/./) } };
  const starting = inTime(
    AgentLoops.start(options, listener),
    'it still waits for the second loop',
  );
  await expect(starting).rejects.toMatchObject(failure);
  expect(deaths).toMatchObject([failure]);
  expect(workers).toHaveLength(2);
  await eventually(() => expect(ended).toContain(workers[0]), 10_000);
});
