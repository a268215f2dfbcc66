import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { RenderThread } from '../../../src/loop/doors/render-thread.ts';
import { FleetTable } from '../../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../../src/shared/job-histogram.ts';
import { NOT_EMBEDDED } from '../../../src/shared/server-families.ts';
import { hostId, hostName } from '../../support/scrape-rig.ts';

/** Some megabytes of exposition. */
const HOSTS = 4_000;
/** Far more than the readers of all of these together may keep. */
const ROUNDS = 10;

let fleet: FleetTable;
let thread: RenderThread;

beforeEach(() => {
  fleet = new FleetTable();
  thread = new RenderThread({
    fleet: fleet.buffer,
    jobs: JobHistogram.create().buffer,
    stats: undefined,
    exclude: NOT_EMBEDDED,
    build: { version: '0', commit: '0', nodeVersion: '0' },
  });
  onTestFinished(() => thread.close());
});

/** Renders a body that has hardly a byte in common with the one before. */
async function renderAnew(round: number, hosts = HOSTS) {
  for (let host = 0; host < hosts; host++) {
    fleet.upsert({ hostId: hostId(host), host: `${round}-${hostName(host)}`, online: true });
  }
  return thread.render(['identity']);
}

test('readers that keep more than two bodies are asked for the oldest, and once for each render', async () => {
  const asked: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const body = await renderAnew(round);
    body.onRevoked = () => {
      asked.push(round);
      body.release();
    };
  }
  expect(asked.length).toBeGreaterThan(2);
  expect(asked.length).toBeLessThan(ROUNDS - 1);
  expect(asked).toEqual(asked.map((_, oldest) => oldest));
});

test('a body that was given back takes no memory: it is never asked for, nor is any other', async () => {
  const asked: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const body = await renderAnew(round);
    body.onRevoked = () => asked.push(round);
    body.release();
  }
  expect(asked).toEqual([]);
});

test('readers that keep a few megabytes are not asked, though that is many times a small body', async () => {
  const asked: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const body = await renderAnew(round, 300);
    body.onRevoked = () => asked.push(round);
  }
  expect(asked).toEqual([]);
});

test('renders leave no listeners behind', async () => {
  await thread.warmUp();
  const listeners = thread.threads[0]?.listenerCount('exit');
  for (let n = 0; n < 20; n++) (await thread.render(['identity'])).release();
  expect(thread.threads[0]?.listenerCount('exit')).toBe(listeners);
});
