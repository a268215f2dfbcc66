import type { Encoding } from '../../src/contract/encoding.ts';
import { encoderFor } from '../../src/render-thread/encoders.ts';
import { KeptBody } from '../../src/render-thread/kept-body.ts';
import { ServerReader } from '../../src/render-thread/server-reader.ts';
import { BodyBytes, type BodyLayout, BodyReader } from '../../src/shared/body-layout.ts';
import { FleetReader } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { afterBackup, benchFleet } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { seededRandom } from '../support/random.ts';
import type { RenderBenchData, RenderTask } from './protocol.ts';

/** Percentages of the fleet that change between two renders. 0.02 is typical for 15 s. */
const CHANGED_PERCENT = [0, 0.02, 0.1, 1, 10] as const;
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip'];

/**
 * Does in this thread what our render thread does. The bench `scrape` measures what piscina and the
 * socket add. A body is complete when its pieces are in shared memory, because they are sent from
 * there.
 */
export async function tasks(data: RenderBenchData): Promise<RenderTask[]> {
  const change = fill(data);
  const shares = CHANGED_PERCENT.filter((share) => share === 0 || data.hosts * share >= 100);
  return ENCODINGS.flatMap((encoding): RenderTask[] => {
    const cold = new Renderer(encoding, data);
    const warm = new Renderer(encoding, data);
    return [
      copyOf(cold.render(), encoding),
      {
        // Like the first render after a start or a crash, nothing is kept. The memory was used
        // before, as that of the floor was.
        name: 'ours, cold',
        role: 'own',
        encoding,
        prepare: () => cold.forget(),
        render: () => cold.render(),
        body: () => bytesOf(cold.render()),
      },
      ...shares.map(
        (share): RenderTask => ({
          name: `ours, ${share} % changed`,
          role: 'own',
          encoding,
          prepare: () => change(Math.round((data.hosts * share) / 100)),
          render: () => warm.render(),
          body: () => bytesOf(warm.render()),
        }),
      ),
    ];
  });
}

/** The floor: it copies into memory that was used before. */
function copyOf(layout: BodyLayout, encoding: Encoding): RenderTask {
  const body = bytesOf(layout);
  const target = new Uint8Array(new SharedArrayBuffer(body.length)).fill(1);
  const render = () => target.set(body);
  return { name: 'memcpy', role: 'floor', encoding, render, body: () => body };
}

class Renderer {
  readonly #body: KeptBody;
  readonly #jobs: JobHistogram;
  readonly #server = new ServerReader(ServerStats.create().buffer);
  #renders = 0;

  constructor(encoding: Encoding, { fleet, jobs, build }: RenderBenchData) {
    this.#body = new KeptBody(encoderFor(encoding), new FleetReader(fleet), build);
    this.#jobs = JobHistogram.attach(jobs);
  }

  render(): BodyLayout {
    const reading = { jobs: this.#jobs.read(), server: this.#server.read() };
    return this.#body.render(++this.#renders, [], reading);
  }

  forget(): void {
    this.#body.forget();
  }
}

function bytesOf(layout: BodyLayout): Uint8Array {
  const reader = new BodyReader(new BodyBytes(layout));
  const body = new Uint8Array(reader.total);
  for (let at = 0; at < body.length; ) {
    const slice = reader.read(at);
    body.set(slice, at);
    at += slice.length;
  }
  return body;
}

/**
 * Fills the shared memory.
 * @returns a function that makes a number of hosts report another backup
 */
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
