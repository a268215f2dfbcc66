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
 * Durations of finished jobs in shared memory: one shard a writing thread, in it a record a series.
 *
 * A record holds two banks (bucket counts, not cumulated, and the sum in milliseconds) and a version.
 * The bank that readers may use, the published one, is bank `version & 1`. The shard has one writer:
 *
 *   1. it brings the other bank up to date, which differs from the published one only by the last
 *      observation, hence in one bucket and the sum;
 *   2. it adds the new observation there;
 *   3. it publishes that bank by storing version + 1.
 *
 * A reader loads the version, copies the published bank and loads the version again. The bank of
 * version v is touched again only after v + 1 was published, so an unchanged version proves that the
 * copy is one moment's state: counts and sum of the very same observations. Readers never write, so one
 * that dies harms nobody; a writer that dies leaves at worst an unpublished observation.
 *
 * Cells are 64 bits wide: the writer adds to them as doubles (integers, exact up to 2^53), the reader
 * loads the same bits with Atomics.load as BigInt64, in order and never half. (Publishing is an
 * Atomics.exchange, not a store: on ARM a store would not keep the next observation's plain writes
 * behind it.)
 */
const SUM = BUCKET_COUNT;
const BANK_CELLS = BUCKET_COUNT + 2; // the buckets, the sum, and padding that keeps banks apart
const RECORD_CELLS = 2 * BANK_CELLS;
const VERSION_CELLS = 16; // the versions of a shard's series, as 32-bit words, in cache lines of their own
const SHARD_CELLS = VERSION_CELLS + SERIES_COUNT * RECORD_CELLS;
const HEADER_CELLS = 8;
const WRITERS_CLAIMED = 0; // a 32-bit word of the header

/** Threads that can ever write to one histogram: a shard is never freed, its counts stay. */
export const MAX_WRITERS = 256;

const READ_ATTEMPTS = 1_000_000;

/** One moment's state of all series. Index a series with `seriesIndex`; counts are not cumulated. */
export interface JobReading {
  /** `counts[series * BUCKET_COUNT + bucket]` */
  readonly counts: Float64Array;
  /** Sum of the durations per series, in milliseconds. */
  readonly sumsMs: Float64Array;
}

export class JobHistogram {
  /** Hand this to another thread and `attach` there. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  static create(): JobHistogram {
    // Lazily zeroed by the operating system: shards nobody claims cost no memory.
    const cells = HEADER_CELLS + MAX_WRITERS * SHARD_CELLS;
    return new JobHistogram(new SharedArrayBuffer(cells * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(buffer: SharedArrayBuffer): JobHistogram {
    return new JobHistogram(buffer);
  }

  /**
   * Claims a shard for the calling thread. A thread claims once and keeps its writer.
   * @throws RmError `too_many_writers` after {@link MAX_WRITERS} claims
   */
  writer(): JobWriter {
    const shard = Atomics.add(this.#words, WRITERS_CLAIMED, 1);
    if (shard >= MAX_WRITERS) {
      Atomics.sub(this.#words, WRITERS_CLAIMED, 1);
      throw new RmError(
        'too_many_writers',
        `writer(): all ${MAX_WRITERS} shards are claimed; claim once a thread and keep the writer`,
      );
    }
    return new JobWriter(this.buffer, HEADER_CELLS + shard * SHARD_CELLS);
  }

  /** @throws RmError `reading_contended` if a series never held still, which only a stuck machine shows */
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

/** Records finished jobs from one thread. */
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

  /** The handle of one series, for a loop that would look it up again and again. */
  series(kind: JobKind, status: JobStatus): JobSeries {
    const series = this.#series[seriesIndex(kind, status)];
    if (series === undefined) throw unknownSeries(kind, status);
    return series;
  }
}

/** One series in the shard of one thread. */
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

  /** As {@link JobWriter.observeJob}. The hot path: no allocation, no lock, one atomic operation. */
  observe(durationMs: number): void {
    // Nearly every job takes less than 24 days, which a small integer holds.
    const short = durationMs | 0;
    const ms = short >= 0 && short === durationMs ? short : wholeMilliseconds(durationMs);
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
    `series ${series} changed under ${READ_ATTEMPTS} readings`,
  );
}

function unknownSeries(kind: string, status: string): RmError {
  return isJobKind(kind) && !isJobStatus(status)
    ? new RmError(
        'unknown_status',
        `observeJob: status must be one of ${JOB_STATUSES.join(', ')}, not ${shown(status)}`,
      )
    : new RmError(
        'unknown_kind',
        `observeJob: kind must be one of ${JOB_KINDS.join(', ')}, not ${shown(kind)}`,
      );
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
