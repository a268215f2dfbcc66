import { constants, platform, setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import type { Encoding } from '../contract/encoding.ts';
import type { BodyLayout } from '../shared/body-layout.ts';
import type { BuildInfo } from '../shared/families.ts';
import { FleetReader } from '../shared/fleet-reader.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { encoderFor } from './encoders.ts';
import { KeptBody } from './kept-body.ts';
import type { StoreSize } from './piece-store.ts';
import { ServerReader } from './server-reader.ts';

/** What the render thread is started with. */
export interface RenderThreadData {
  readonly fleet: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  /** What a control plane counts about itself, if there is one. */
  readonly stats: SharedArrayBuffer | undefined;
  readonly build: BuildInfo;
  /** Families that the body does not show. */
  readonly exclude: readonly string[];
}

export interface RenderTask {
  /** Higher than those of all tasks before. */
  readonly render: number;
  /** The numbers of earlier renders whose bodies are still in use; the memory of all others is free. */
  readonly held: readonly number[];
  readonly encodings: readonly Encoding[];
}

export interface RenderResult {
  /** Those that were asked for. */
  readonly bodies: Readonly<Partial<Record<Encoding, BodyLayout>>>;
  /** Of all that is kept, in whichever encoding. */
  readonly size: StoreSize;
}

/** Renders after which an encoding that nobody asked for is forgotten: it takes as much memory as a body. */
const UNWANTED_RENDERS = 20;

/*
 * Where cores are short, the agents' loop goes first. On Linux a priority is a thread's own; elsewhere this
 * would lower that of the whole process.
 */
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const data: RenderThreadData = workerData;
const fleet = new FleetReader(data.fleet);
const jobs = JobHistogram.attach(data.jobs);
const server = new ServerReader(data.stats, !data.exclude.includes('process_cpu_seconds_total'));
const kept = new Map<Encoding, { readonly body: KeptBody; readonly wanted: number }>();

/** Renders from shared memory into shared memory: nothing of a body travels but where its pieces are. */
export default function render({ render, held, encodings }: RenderTask): RenderResult {
  const reading = { jobs: jobs.read(), server: server.read() };
  const bodies: Partial<Record<Encoding, BodyLayout>> = {};
  for (const encoding of encodings) {
    const body =
      kept.get(encoding)?.body ??
      new KeptBody(encoderFor(encoding), fleet, data.build, data.exclude);
    kept.set(encoding, { body, wanted: render });
    try {
      bodies[encoding] = body.render(render, held, reading);
    } catch (error) {
      // What a render leaves behind that fails half-way is not to be trusted.
      body.forget();
      throw error;
    }
  }
  let [live, pinned] = [0, 0];
  for (const [encoding, { body, wanted }] of kept) {
    if (render - wanted > UNWANTED_RENDERS) kept.delete(encoding);
    live += body.size.live;
    pinned += body.size.pinned;
  }
  return { bodies, size: { live, pinned } };
}
