import { workerData } from 'node:worker_threads';
import { constants, gzipSync } from 'node:zlib';
import { expositionBound, writeExposition } from '../metrics/exposition.ts';
import type { BuildInfo } from '../metrics/families.ts';
import { FleetReader } from '../metrics/fleet-reader.ts';
import { JobHistogram } from '../metrics/job-histogram.ts';

/** What the render thread is started with. */
export interface RenderThreadData {
  readonly fleet: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  readonly build: BuildInfo;
}

export interface RenderTask {
  /** A buffer of an earlier render to use again, if one is free. */
  readonly buffer: SharedArrayBuffer | undefined;
  readonly gzip: boolean;
}

/** Where the bodies are in `buffer`, which may be a new one. */
export interface RenderResult {
  readonly buffer: SharedArrayBuffer;
  readonly identityLength: number;
  /** 0 unless it was asked for; begins at `identityLength`. */
  readonly gzipLength: number;
}

const data: RenderThreadData = workerData;
const fleet = new FleetReader(data.fleet);
const jobs = JobHistogram.attach(data.jobs);

/**
 * Renders one body from shared memory into a shared buffer, so that nothing is copied or transferred on
 * the way to the thread that sends it. Buffers are taken a quarter too large: memory nobody touches
 * costs nothing, and a growing fleet does not need a new one each time.
 */
export default function render({ buffer, gzip }: RenderTask): RenderResult {
  const input = { pages: fleet.read(), jobs: jobs.read(), build: data.build };
  const bound = 2 * expositionBound(input); // deflate never doubles what it is given
  const target =
    buffer !== undefined && buffer.byteLength >= bound
      ? buffer
      : new SharedArrayBuffer(Math.ceil(bound * 1.25));
  const bytes = Buffer.from(target, 0, target.byteLength);
  const identityLength = writeExposition(input, bytes);
  if (!gzip) return { buffer: target, identityLength, gzipLength: 0 };
  const compressed = gzipSync(bytes.subarray(0, identityLength), {
    level: constants.Z_BEST_SPEED,
  });
  bytes.set(compressed, identityLength);
  return { buffer: target, identityLength, gzipLength: compressed.length };
}
