import { workerData } from 'node:worker_threads';
import type { Encoding } from '../contract/encoding.ts';
import { lowerThreadPriority } from '../platform/thread-priority.ts';
import type { BodyLayout } from '../shared/body-layout.ts';
import type { BuildInfo } from '../shared/families.ts';
import { FleetReader } from '../shared/fleet-reader.ts';
import { JobHistogram } from '../shared/job-histogram.ts';
import { SERVER_FAMILIES } from '../shared/server-families.ts';
import { encoderFor } from './encoders.ts';
import { KeptBody } from './kept-body.ts';
import type { LogSize } from './piece-store.ts';
import { ServerReader } from './server-reader.ts';

/** Worker data of the render thread. */
export interface RenderThreadData {
  readonly fleet: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  /** Buffer of the `ServerStats`, if there are any. */
  readonly stats: SharedArrayBuffer | undefined;
  readonly build: BuildInfo;
  /** Names of families to leave out of the body. */
  readonly exclude: readonly string[];
}

export interface RenderTask {
  /** Higher than in all tasks before. */
  readonly renderNumber: number;
  /**
   * Numbers of earlier renders whose bodies a reader still holds. The memory of all other bodies
   * may be overwritten.
   */
  readonly heldRenders: readonly number[];
  readonly encodings: readonly Encoding[];
}

export interface RenderResult {
  /** One body for each requested encoding. */
  readonly bodies: Readonly<Partial<Record<Encoding, BodyLayout>>>;
  /** Sum over the bodies of all encodings. */
  readonly logSize: LogSize;
}

/**
 * The kept pieces of an encoding take as much memory as a body. They are dropped after this many
 * renders in a row that did not request the encoding.
 */
const MAX_UNREQUESTED_RENDERS = 20;

lowerThreadPriority();

const data: RenderThreadData = workerData;
const fleet = new FleetReader(data.fleet);
const jobs = JobHistogram.attach(data.jobs);
const server = new ServerReader(data.stats, SERVER_FAMILIES.some(isShownOfProcess));
const keptBodies = new Map<Encoding, { readonly body: KeptBody; readonly lastRequested: number }>();

/** The values of the process are read only if a family shows one of them. */
function isShownOfProcess({ name }: { readonly name: string }): boolean {
  return name.startsWith('process_') && !data.exclude.includes(name);
}

/**
 * Renders from shared memory into shared memory. The result contains the places of the pieces and
 * no bytes of the body.
 */
export default function render({ renderNumber, heldRenders, encodings }: RenderTask): RenderResult {
  const reading = { jobs: jobs.read(), server: server.read() };
  const bodies: Partial<Record<Encoding, BodyLayout>> = {};
  for (const encoding of encodings) {
    const body =
      keptBodies.get(encoding)?.body ??
      new KeptBody(encoderFor(encoding), fleet, data.build, data.exclude);
    keptBodies.set(encoding, { body, lastRequested: renderNumber });
    try {
      bodies[encoding] = body.render(renderNumber, heldRenders, reading);
    } catch (error) {
      // A failed render leaves inconsistent state behind.
      body.forget();
      throw error;
    }
  }
  let [live, pinned] = [0, 0];
  for (const [encoding, { body, lastRequested }] of keptBodies) {
    if (renderNumber - lastRequested > MAX_UNREQUESTED_RENDERS) keptBodies.delete(encoding);
    live += body.logSize.live;
    pinned += body.logSize.pinned;
  }
  return { bodies, logSize: { live, pinned } };
}
