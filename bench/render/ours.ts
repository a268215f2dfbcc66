import { FleetTable } from '../../src/metrics/fleet-table.ts';
import { JobHistogram } from '../../src/metrics/job-histogram.ts';
import type * as RenderThread from '../../src/scrape/render.worker.ts';
import { afterBackup, benchFleet } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { seededRandom } from '../support/random.ts';
import type { Encoding } from '../support/scraper.ts';
import type { RenderBenchData, RenderTask } from './protocol.ts';

/** Shares of the fleet that change between two renders, in percent. 0.02 is a normal 15 s. */
const CHANGED_PERCENT = [0, 0.02, 0.1, 1, 10] as const;
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip'];

/**
 * Our render thread's own function, called in this thread: what piscina adds is for `scrape` to tell.
 * It is imported only now, since it looks for its shared memory in this thread's `workerData`.
 */
export async function tasks(data: RenderBenchData): Promise<RenderTask[]> {
  const change = fill(data);
  const warm = renderer(await import('../../src/scrape/render.worker.ts'));
  const shares = CHANGED_PERCENT.filter((share) => share === 0 || data.hosts * share >= 100);
  return ENCODINGS.flatMap((encoding) => [
    copyOf(warm(encoding).slice(), encoding),
    coldTask(encoding),
    ...shares.map(
      (share): RenderTask => ({
        name: `ours, ${share} % changed`,
        role: 'own',
        encoding,
        prepare: () => change(Math.round((data.hosts * share) / 100)),
        render: () => warm(encoding),
      }),
    ),
  ]);
}

/** The floor: into memory that was touched before, as the buffers of bodies are. */
function copyOf(body: Uint8Array, encoding: Encoding): RenderTask {
  const target = new Uint8Array(new SharedArrayBuffer(body.length)).fill(1);
  const render = () => {
    target.set(body);
    return target;
  };
  return { name: 'memcpy', role: 'floor', encoding, render };
}

let instances = 0;

/** As after a start or a crash: a module of its own each time, which has seen nothing of the fleet. */
function coldTask(encoding: Encoding): RenderTask {
  let render = (): Uint8Array => new Uint8Array();
  return {
    name: 'ours, cold',
    role: 'own',
    encoding,
    async prepare() {
      const file = `../../src/scrape/render.worker.ts?instance=${instances++}`;
      const fresh = renderer(await import(file));
      render = () => fresh(encoding);
    },
    render: () => render(),
  };
}

/** Gives each render the buffer of the one before, as `RenderThread` does. */
function renderer({ default: render }: typeof RenderThread): (encoding: Encoding) => Uint8Array {
  let buffer: SharedArrayBuffer | undefined;
  return (encoding) => {
    const result = render({ buffer, identity: encoding === 'identity', gzip: encoding === 'gzip' });
    buffer = result.buffer;
    return encoding === 'gzip'
      ? new Uint8Array(buffer, result.identityLength, result.gzipLength)
      : new Uint8Array(buffer, 0, result.identityLength);
  };
}

/** Fills the shared memory; @returns what makes that many hosts report another backup */
function fill({ fleet, jobs, hosts }: RenderBenchData): (count: number) => void {
  const table = new FleetTable(fleet);
  const records = benchFleet(hosts);
  for (const host of records) table.upsert(host);
  const writer = JobHistogram.attach(jobs).writer();
  for (const { kind, status, ms } of jobTable()) writer.observeJob(kind, status, ms);
  const random = seededRandom(3);
  return (count) => {
    for (let n = 0; n < count; n++) {
      const index = Math.floor(random() * hosts);
      const host = records[index];
      if (host === undefined) continue;
      const changed = afterBackup(host, random);
      records[index] = changed;
      table.upsert(changed);
    }
  };
}
