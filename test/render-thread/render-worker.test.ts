import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Piscina } from 'piscina';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { Encoding } from '../../src/contract/encoding.ts';
import type {
  RenderResult,
  RenderTask,
  RenderThreadData,
} from '../../src/render-thread/render.worker.ts';
import { BodyBytes, BodyReader } from '../../src/shared/body-layout.ts';
import {
  PAGE_BYTES,
  PAGE_ROWS,
  Page,
  TEXT_LENGTH,
  VERSION,
  viewFleetBuffer,
} from '../../src/shared/fleet-layout.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { NOT_EMBEDDED } from '../../src/shared/server-families.ts';
import { unless } from '../support/programs.ts';
import { hostId, hostName } from '../support/scrape-rig.ts';
import { lowPriorityThreads, NO_THREAD_PRIORITY } from '../support/thread-priority.ts';

const WORKER = new URL('../../src/render-thread/render.worker.ts', import.meta.url);
const HOSTS = 2_000;

let pool: Piscina<RenderTask, RenderResult>;
let renders: number;
let fleet: FleetTable;

beforeEach(() => {
  fleet = new FleetTable();
  for (let host = 0; host < HOSTS; host++) {
    fleet.upsert({ hostId: hostId(host), host: hostName(host), online: true });
  }
  const workerData: RenderThreadData = {
    fleet: fleet.buffer,
    jobs: JobHistogram.create().buffer,
    stats: undefined,
    build: { version: '0', commit: '0', nodeVersion: '0' },
    exclude: NOT_EMBEDDED,
  };
  const filename = fileURLToPath(WORKER);
  pool = new Piscina({ filename, workerData, minThreads: 1, maxThreads: 1 });
  renders = 0;
  onTestFinished(() => pool.destroy());
});

/** Renders as often as that; @returns the bytes that are kept after each */
async function render(times: number, ...encodings: Encoding[]): Promise<number[]> {
  const kept: number[] = [];
  for (let n = 0; n < times; n++) {
    const task = { renderNumber: ++renders, heldRenders: [], encodings };
    const { logSize } = await pool.run(task);
    kept.push(logSize.live);
  }
  return kept;
}

const BEFORE = NO_THREAD_PRIORITY === '' ? lowPriorityThreads() : 0;

// The first test, so that no thread of an earlier one is counted.
unless(NO_THREAD_PRIORITY).test('a render lets the agents run first', async () => {
  await render(1, 'identity');
  expect(lowPriorityThreads()).toBeGreaterThan(BEFORE);
});

test('a plain body is kept for 20 renders that nobody wants it of, and then takes no memory', async () => {
  const [both = 0] = await render(1, 'identity', 'gzip');
  const [plain = 0] = await render(1, 'identity');
  expect(plain, 'the gzip body is kept beside it').toBeGreaterThan(both * 0.99);
  const gzipOnly = await render(20, 'gzip');
  for (const kept of gzipOnly) expect(kept).toBeGreaterThan(both * 0.99);
  await render(1, 'gzip');
  const [after = 0] = await render(1, 'gzip');
  expect(after).toBeLessThan(both / 5);
});

test('a body that somebody wants now and then is kept', async () => {
  const [both = 0] = await render(1, 'identity', 'gzip');
  for (let round = 0; round < 3; round++) {
    for (const kept of await render(15, 'gzip')) expect(kept).toBeGreaterThan(both * 0.99);
    await render(1, 'identity');
  }
});

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: `nice` is the 17th field after the name. */
function niceOfThreads(): number[] {
  return readdirSync('/proc/self/task').map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

test.runIf(platform() === 'linux')('the thread has a lower priority than the others', async () => {
  const own = getPriority();
  await render(1, 'gzip');
  expect(niceOfThreads().filter((nice) => nice !== own)).toEqual([Math.min(19, own + 10)]);
});

test('after a render that failed half-way, the next one renders everything again', async () => {
  const run = (heldRenders: number[]) =>
    pool.run({ renderNumber: ++renders, heldRenders, encodings: ['gzip'] });
  const { bodies } = await run([]);
  // Nothing of the body that was made before may be in the one after.
  for (const segment of bodies.gzip?.segments ?? []) new Uint8Array(segment).fill(0);
  fleet.upsert({ hostId: hostId(0), host: 'changed', online: true });
  const { pages } = viewFleetBuffer(fleet.buffer);
  const lastPage = Math.floor((HOSTS - 1) / PAGE_ROWS) * PAGE_BYTES;
  const page = new Page(fleet.buffer, pages.byteOffset + lastPage, undefined);
  const length = page.word(TEXT_LENGTH, 0);
  // It cannot be read now.
  page.words[VERSION] = (page.words[VERSION] ?? 0) + 2;
  page.setWord(TEXT_LENGTH, 0, 2 ** 31 - 1);
  await expect(run([1])).rejects.toThrow('changed during every attempt');
  page.setWord(TEXT_LENGTH, 0, length);
  const after = await run([1]);
  if (after.bodies.gzip === undefined) throw new Error('no body');
  const reader = new BodyReader(new BodyBytes(after.bodies.gzip));
  const slices: Buffer[] = [];
  for (let at = 0; at < reader.total; at += slices.at(-1)?.length ?? 0) {
    slices.push(Buffer.from(reader.read(at)));
  }
  const body = gunzipSync(Buffer.concat(slices)).toString();
  expect(body.match(/^rm_host_agent_online\{/gm)).toHaveLength(HOSTS);
  expect(body).toContain(`rm_host_agent_online{host_id="${hostId(0)}",host="changed"} 1\n`);
});
