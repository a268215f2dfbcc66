import {
  BUCKET_COUNT,
  bucketOf,
  isJobKind,
  isJobStatus,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  type JobStatus,
  SERIES_COUNT,
  seriesIndex,
} from '../contract/jobs.ts';
import { RmError } from '../errors.ts';

/*
 * Durations of finished jobs in shared memory. Each writing thread has a shard, and a shard has one
 * record per series.
 *
 * A record has a version and two banks. A bank holds the bucket counts (not cumulative) and the sum
 * in milliseconds. Readers may use the published bank, which is bank `version & 1`. The only writer
 * of the shard observes a job like this:
 *
 *   1. It brings the lagging bank up to date. That bank lacks only the previous observation, so
 *      only one bucket and the sum differ.
 *   2. It adds the new observation to the lagging bank.
 *   3. It publishes that bank by exchanging the version for version + 1.
 *
 * A reader loads the version, copies the published bank and loads the version again. The writer
 * touches the bank of version v again only after it has published v + 1. An unchanged version
 * therefore proves that the copy is consistent: counts and sum cover the same observations.
 * Readers never write, so a reader that dies does no harm. A writer that dies loses at most one
 * unpublished observation.
 *
 * Cells are 64 bits wide. The writer adds to them as doubles, which hold integers up to 2^53
 * exactly. The reader loads the same bits with Atomics.load as BigInt64, so loads stay in order and
 * never see half a value. The writer publishes with Atomics.exchange and not with a store: on ARM
 * the plain writes of the next observation could move in front of a store.
 */
const SUM = BUCKET_COUNT;
const BANK_CELLS = BUCKET_COUNT + 2; // the buckets, the sum, and padding that keeps banks apart
const RECORD_CELLS = 2 * BANK_CELLS;
const VERSION_CELLS = 16; // the versions of a shard's series, as 32-bit words, in cache lines of their own
const SHARD_CELLS = VERSION_CELLS + SERIES_COUNT * RECORD_CELLS;
const HEADER_CELLS = 8;
const WRITERS_CLAIMED = 0; // a 32-bit word of the header

/**
 * Number of threads that can write to one histogram during its lifetime. A shard is never freed,
 * because its counts stay part of the totals.
 */
export const MAX_WRITERS = 256;

const READ_ATTEMPTS = 1_000_000;

/**
 * A consistent copy of each series, summed over all shards. Counts are not cumulative.
 * `seriesIndex` gives the index of a series.
 */
export interface JobReading {
  /** `counts[series * BUCKET_COUNT + bucket]` */
  readonly counts: Float64Array;
  /** Sum of the durations per series, in milliseconds. */
  readonly sumsMs: Float64Array;
}

export class JobHistogram {
  /** Pass this to another thread, which calls `attach` with it. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  static create(): JobHistogram {
    // The operating system zeroes memory lazily, so unclaimed shards cost nothing.
    const cells = HEADER_CELLS + MAX_WRITERS * SHARD_CELLS;
    return new JobHistogram(new SharedArrayBuffer(cells * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(buffer: SharedArrayBuffer): JobHistogram {
    return new JobHistogram(buffer);
  }

  /**
   * Claims a shard for the calling thread. A thread should call this once and keep the writer.
   * @throws RmError `too_many_writers` after {@link MAX_WRITERS} claims
   */
  writer(): JobWriter {
    const shard = Atomics.add(this.#words, WRITERS_CLAIMED, 1);
    if (shard >= MAX_WRITERS) {
      throw new RmError(
        'too_many_writers',
        `writer(): all ${MAX_WRITERS} shards are claimed; claim one per thread and keep the writer`,
      );
    }
    return new JobWriter(this.buffer, HEADER_CELLS + shard * SHARD_CELLS);
  }

  /**
   * Sums all shards.
   * @throws RmError `reading_contended` if a series changed during every attempt to copy it
   */
  read(): JobReading {
    const reading: JobReading = {
      counts: new Float64Array(SERIES_COUNT * BUCKET_COUNT),
      sumsMs: new Float64Array(SERIES_COUNT),
    };
    const claimed = Math.min(Atomics.load(this.#words, WRITERS_CLAIMED), MAX_WRITERS);
    for (let shard = 0; shard < claimed; shard++) {
      addShard(this.buffer, HEADER_CELLS + shard * SHARD_CELLS, reading);
    }
    return reading;
  }
}

/** Counts the finished jobs of one thread. */
export class JobWriter {
  readonly #series: readonly JobSeries[];

  /** @internal */
  constructor(buffer: SharedArrayBuffer, shardCell: number) {
    const cells = new Float64Array(buffer);
    const versions = new Int32Array(buffer);
    this.#series = Array.from(
      { length: SERIES_COUNT },
      (_, series) => new JobSeries(cells, versions, shardCell, series),
    );
  }

  /**
   * Counts one finished job.
   * @param durationMs milliseconds; a fraction is cut off, a negative duration counts as 0
   * @throws RmError `unknown_kind`, `unknown_status`, `invalid_duration`; nothing is counted then
   */
  observeJob(kind: JobKind, status: JobStatus, durationMs: number): void {
    this.series(kind, status).observe(durationMs);
  }

  /**
   * Returns the handle of one series. A caller that keeps it saves the lookup per job.
   * @throws RmError `unknown_kind`, `unknown_status`
   */
  series(kind: JobKind, status: JobStatus): JobSeries {
    const series = this.#series[seriesIndex(kind, status)];
    if (series === undefined) throw unknownSeries(kind, status);
    return series;
  }
}

/**
 * One series in the shard of one thread. A handle may only be used in the thread that owns the
 * shard.
 *
 * @example
 * ```ts
 * const prunes = metrics.registry.series('prune', 'succeeded');
 * prunes.observe(61_000); // one prune that took 61 s
 * ```
 */
export class JobSeries {
  readonly #cells: Float64Array;
  readonly #versions: Int32Array;
  readonly #versionIndex: number;
  #published: number;
  #lagging: number;
  #version = 0;
  #lastBucket = 0;

  /** @internal */
  constructor(cells: Float64Array, versions: Int32Array, shardCell: number, series: number) {
    this.#cells = cells;
    this.#versions = versions;
    this.#versionIndex = versionWord(shardCell, series);
    this.#published = bankCell(shardCell, series, 0);
    this.#lagging = bankCell(shardCell, series, 1);
  }

  /**
   * Counts one finished job of this series. This is the hot path: no allocation, no lock, one
   * atomic operation.
   * @param durationMs milliseconds; a fraction is cut off, a negative duration counts as 0
   * @throws RmError `invalid_duration` unless it is a finite number below 2^53; nothing is counted
   * then
   */
  observe(durationMs: number): void {
    // Nearly every job takes less than 24 days, whose milliseconds fit into a small integer.
    const small = durationMs | 0;
    const ms = small >= 0 && small === durationMs ? small : wholeMilliseconds(durationMs);
    const bucket = bucketOf(ms);
    const cells = this.#cells;
    const from = this.#published;
    const to = this.#lagging;
    const last = this.#lastBucket;
    cells[to + last] = cells[from + last] as number;
    cells[to + bucket] = (cells[to + bucket] as number) + 1;
    cells[to + SUM] = (cells[from + SUM] as number) + ms;
    this.#version = (this.#version + 1) | 0;
    Atomics.exchange(this.#versions, this.#versionIndex, this.#version);
    this.#lastBucket = bucket;
    this.#published = to;
    this.#lagging = from;
  }
}

function wholeMilliseconds(durationMs: number): number {
  const inRange = durationMs < 2 ** 53 && durationMs > Number.NEGATIVE_INFINITY;
  if (typeof durationMs !== 'number' || !inRange) {
    throw new RmError(
      'invalid_duration',
      `observe: a duration must be a finite number of milliseconds below 2^53, not ${durationMs}`,
    );
  }
  return durationMs > 0 ? Math.trunc(durationMs) : 0;
}

function versionWord(shardCell: number, series: number): number {
  return shardCell * 2 + series;
}

function bankCell(shardCell: number, series: number, bank: number): number {
  return shardCell + VERSION_CELLS + series * RECORD_CELLS + bank * BANK_CELLS;
}

function addShard(buffer: SharedArrayBuffer, shardCell: number, into: JobReading): void {
  const versions = new Int32Array(buffer);
  const cells = new BigInt64Array(buffer);
  const bits = new BigInt64Array(BUCKET_COUNT + 1);
  const values = new Float64Array(bits.buffer);
  for (let series = 0; series < SERIES_COUNT; series++) {
    copyPublishedBank(versions, cells, shardCell, series, bits);
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
      const index = series * BUCKET_COUNT + bucket;
      into.counts[index] = (into.counts[index] as number) + (values[bucket] as number);
    }
    into.sumsMs[series] = (into.sumsMs[series] as number) + (values[SUM] as number);
  }
}

function copyPublishedBank(
  versions: Int32Array,
  cells: BigInt64Array,
  shardCell: number,
  series: number,
  into: BigInt64Array,
): void {
  const word = versionWord(shardCell, series);
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    const version = Atomics.load(versions, word);
    const bank = bankCell(shardCell, series, version & 1);
    for (let cell = 0; cell <= SUM; cell++) into[cell] = Atomics.load(cells, bank + cell);
    if (Atomics.load(versions, word) === version) return;
  }
  throw new RmError(
    'reading_contended',
    `series ${series} changed during ${READ_ATTEMPTS} attempts to read it`,
  );
}

function unknownSeries(kind: string, status: string): RmError {
  return isJobKind(kind) && !isJobStatus(status)
    ? new RmError(
        'unknown_status',
        `observeJob: status must be one of ${JOB_STATUSES.join(', ')}, not ${quoted(status)}`,
      )
    : new RmError(
        'unknown_kind',
        `observeJob: kind must be one of ${JOB_KINDS.join(', ')}, not ${quoted(kind)}`,
      );
}

function quoted(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
