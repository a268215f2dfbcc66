import { workerData } from 'node:worker_threads';
import { expositionBound, writeExposition } from '../metrics/exposition.ts';
import type { BuildInfo } from '../metrics/families.ts';
import { FleetReader } from '../metrics/fleet-reader.ts';
import { JobHistogram } from '../metrics/job-histogram.ts';
import { GzipBody } from './gzip-body.ts';

/** What the render thread is started with. */
export interface RenderThreadData {
  readonly fleet: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  readonly build: BuildInfo;
}

export interface RenderTask {
  /** A buffer of an earlier render to use again, if one is free. */
  readonly buffer: SharedArrayBuffer | undefined;
  readonly identity: boolean;
  readonly gzip: boolean;
}

/** Where the bodies are in `buffer`, which may be a new one: the identity first, then the gzip. */
export interface RenderResult {
  readonly buffer: SharedArrayBuffer;
  /** 0 unless it was asked for, as is the next. */
  readonly identityLength: number;
  readonly gzipLength: number;
}

const data: RenderThreadData = workerData;
const fleet = new FleetReader(data.fleet);
const jobs = JobHistogram.attach(data.jobs);
const gzipBody = new GzipBody();

/**
 * Renders one body from shared memory into a shared buffer, so that nothing is copied or transferred on
 * the way to the thread that sends it.
 */
export default function render({ buffer, identity, gzip }: RenderTask): RenderResult {
  const input = { pages: fleet.read(), jobs: jobs.read(), build: data.build };
  const composed = gzip ? gzipBody.compose(input) : undefined;
  const identityBound = identity ? expositionBound(input) : 0;
  const target = large(buffer, identityBound + (composed?.byteLength ?? 0));
  const bytes = Buffer.from(target, 0, target.byteLength);
  const identityLength = identity ? writeExposition(input, bytes) : 0;
  composed?.writeTo(bytes.subarray(identityLength));
  return { buffer: target, identityLength, gzipLength: composed?.byteLength ?? 0 };
}

/**
 * `buffer`, or a new one if that is too small: a quarter too large, since memory nobody touches costs
 * nothing and a growing fleet then does not need a new one each time.
 */
function large(buffer: SharedArrayBuffer | undefined, bytes: number): SharedArrayBuffer {
  if (buffer !== undefined && buffer.byteLength >= bytes) return buffer;
  return new SharedArrayBuffer(Math.ceil(bytes * 1.25));
}
