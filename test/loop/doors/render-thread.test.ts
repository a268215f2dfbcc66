import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { RENDER_LIMIT_MS } from '../../../src/contract/encoding.ts';
import { RenderThread } from '../../../src/loop/doors/render-thread.ts';
import { STRUCTURE_VERSION, viewFleetBuffer } from '../../../src/shared/fleet-layout.ts';
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
  await thread.warmUp();
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

describe('a render that does not end', () => {
  /** Starts a render that waits for the end of a change of the table, until `goOn` is called. */
  async function stuck() {
    await thread.warmUp();
    const { control } = viewFleetBuffer(fleet.buffer);
    Atomics.add(control, STRUCTURE_VERSION, 1);
    return {
      render: thread.render(['identity']),
      goOn: () => void Atomics.add(control, STRUCTURE_VERSION, 1),
    };
  }

  const failure = (why: string) => ({
    code: 'render_failed',
    message: `the render thread failed: ${why}`,
  });

  test('fails after 30 s, and the next one gets another thread', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { render, goOn } = await stuck();
    const [hanging] = thread.threads;
    vi.advanceTimersByTime(RENDER_LIMIT_MS);
    await expect(render).rejects.toMatchObject(failure('no body after 30000 ms'));
    goOn();
    (await thread.render(['identity'])).release();
    expect(thread.threads[0]).not.toBe(hanging);
  });

  test('fails when its thread dies, and the next one gets another thread', async () => {
    const { render, goOn } = await stuck();
    void thread.threads[0]?.terminate();
    await expect(render).rejects.toMatchObject({ code: 'render_failed' });
    goOn();
    (await thread.render(['identity'])).release();
  });
});
