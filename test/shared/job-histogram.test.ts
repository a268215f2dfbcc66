import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BUCKET_COUNT,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  type JobStatus,
  SERIES_COUNT,
  seriesIndex,
} from '../../src/contract/jobs.ts';
import { JobHistogram, type JobReading, MAX_WRITERS } from '../../src/shared/job-histogram.ts';
import { type Job, startJobWriters } from './job-writers.ts';

const LES = ['1', '5', '30', '60', '300', '1800', '3600', '21600', '86400', '+Inf'];
const ALL_SERIES = JOB_KINDS.flatMap((kind) => JOB_STATUSES.map((status) => ({ kind, status })));
const NOTHING = { counts: new Float64Array(270), sumsMs: new Float64Array(27) };

describe('bucket of a duration', () => {
  it.each<[durationMs: number, le: string]>([
    [0, '1'],
    [1, '1'],
    [999, '1'],
    [1_000, '1'],
    [1_001, '5'],
    [4_999, '5'],
    [5_000, '5'],
    [5_001, '30'],
    [29_999, '30'],
    [30_000, '30'],
    [30_001, '60'],
    [59_999, '60'],
    [60_000, '60'],
    [60_001, '300'],
    [299_999, '300'],
    [300_000, '300'],
    [300_001, '1800'],
    [1_799_999, '1800'],
    [1_800_000, '1800'],
    [1_800_001, '3600'],
    [3_599_999, '3600'],
    [3_600_000, '3600'],
    [3_600_001, '21600'],
    [21_599_999, '21600'],
    [21_600_000, '21600'],
    [21_600_001, '86400'],
    [86_399_999, '86400'],
    [86_400_000, '86400'],
    [86_400_001, '+Inf'],
    // Around the widths of machine words, where a duration cut to 32 bits would look short.
    [2 ** 31 - 1, '+Inf'],
    [2 ** 31, '+Inf'],
    [2 ** 32 - 1, '+Inf'],
    [2 ** 32, '+Inf'],
    [2 ** 32 + 1, '+Inf'],
    [2 ** 32 + 500, '+Inf'],
    [2 ** 40 + 1_000, '+Inf'],
    [Number.MAX_SAFE_INTEGER, '+Inf'],
  ])('%d ms is counted up to le="%s", and summed exactly', (durationMs, le) => {
    expect(soleObservation(durationMs)).toEqual({ le, sumMs: durationMs });
  });

  it.each<[durationMs: number, le: string, sumMs: number]>([
    [0.9, '1', 0],
    [1_000.999, '1', 1_000],
    [1_001.001, '5', 1_001],
    [86_400_000.5, '86400', 86_400_000],
    [2 ** 32 + 0.5, '+Inf', 2 ** 32],
  ])('the fraction of %d ms is cut off', (durationMs, le, sumMs) => {
    expect(soleObservation(durationMs)).toEqual({ le, sumMs });
  });

  it.each([-0, -0.5, -1, -1_000, -(2 ** 32) - 1, -(2 ** 53), -1e300])(
    'a negative duration (%d ms) counts as 0',
    (durationMs) => {
      expect(soleObservation(durationMs)).toEqual({ le: '1', sumMs: 0 });
    },
  );
});

describe('what is outside the contract is refused and counted nowhere', () => {
  it.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** 53,
    Number.MAX_VALUE,
    ...([undefined, null, '5', true, new Date(5)] as unknown[] as number[]),
  ])('a duration of %s', (durationMs) => {
    const histogram = JobHistogram.create();
    const writer = histogram.writer();
    expect(() => writer.observeJob('backup', 'failed', durationMs)).toThrow(
      expect.objectContaining({
        code: 'invalid_duration',
        message: expect.stringContaining(`not ${durationMs}`),
      }),
    );
    expect(histogram.read()).toEqual(NOTHING);
  });

  it.each(['', 'Backup', 'backup ', 'check\n', 'toString', '__proto__', '0', undefined, null, 0])(
    'a kind of %j',
    (kind) => {
      const histogram = JobHistogram.create();
      const writer = histogram.writer();
      const refusal = expect.objectContaining({
        code: 'unknown_kind',
        message: expect.stringContaining(`not ${JSON.stringify(kind)}`),
      });
      expect(() => writer.observeJob(kind as JobKind, 'failed', 1)).toThrow(refusal);
      expect(() => writer.series(kind as JobKind, 'failed')).toThrow(refusal);
      expect(histogram.read()).toEqual(NOTHING);
    },
  );

  it.each(['', 'Failed', 'success', 'canceled', 'constructor', '2', undefined, null, 2])(
    'a status of %j',
    (status) => {
      const histogram = JobHistogram.create();
      const writer = histogram.writer();
      const refusal = expect.objectContaining({
        code: 'unknown_status',
        message: expect.stringContaining(`not ${JSON.stringify(status)}`),
      });
      expect(() => writer.observeJob('backup', status as JobStatus, 1)).toThrow(refusal);
      expect(() => writer.series('backup', status as JobStatus)).toThrow(refusal);
      expect(histogram.read()).toEqual(NOTHING);
    },
  );

  it('when both are unknown the kind is named', () => {
    const writer = JobHistogram.create().writer();
    expect(() => writer.observeJob('copy' as JobKind, 'done' as JobStatus, 1)).toThrow(
      expect.objectContaining({ code: 'unknown_kind' }),
    );
  });

  it('a refused observation leaves the counts before and after it right', () => {
    const histogram = JobHistogram.create();
    const series = histogram.writer().series('check', 'failed');
    series.observe(10);
    expect(() => series.observe(Number.NaN)).toThrow();
    series.observe(2_000);
    expect(ofSeries(histogram.read(), 'check', 'failed')).toEqual({
      counts: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
      sumMs: 2_010,
    });
  });
});

describe('series', () => {
  it('all 27 are numbered kind by kind, status by status, in the order of the lists', () => {
    expect(ALL_SERIES.map(({ kind, status }) => seriesIndex(kind, status))).toEqual(
      Array.from({ length: 27 }, (_, index) => index),
    );
    expect(SERIES_COUNT).toBe(27);
  });

  it('the lists are the contract, sorted', () => {
    expect(JOB_KINDS.join()).toBe('backup,check,diff,forget,init,prune,restore,unlock,update');
    expect(JOB_STATUSES.join()).toBe('cancelled,failed,succeeded');
  });

  it('an observation lands in its own series, in every bucket, and in no neighbour', () => {
    const histogram = JobHistogram.create();
    const writer = histogram.writer();
    const plain = new PlainHistogram();
    ALL_SERIES.forEach(({ kind, status }, series) => {
      for (const [bucket, durationMs] of DURATION_OF_BUCKET.entries()) {
        for (let times = 0; times <= series + bucket; times++) {
          writer.observeJob(kind, status, durationMs);
          plain.observe(kind, status, durationMs);
        }
      }
    });
    expect(histogram.read()).toEqual(plain.read());
  });

  it('a handle kept for a loop and a look-up each time count into the same series', () => {
    const histogram = JobHistogram.create();
    const writer = histogram.writer();
    const series = writer.series('prune', 'cancelled');
    for (const durationMs of [10, 20, 30]) {
      series.observe(durationMs);
      writer.observeJob('prune', 'cancelled', durationMs);
    }
    expect(ofSeries(histogram.read(), 'prune', 'cancelled')).toEqual({
      counts: [6, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      sumMs: 120,
    });
  });
});

describe('sums', () => {
  it('are exact to the millisecond above 2^32', () => {
    const histogram = JobHistogram.create();
    const writer = histogram.writer();
    for (const durationMs of [2 ** 32 - 1, 1, 1, 2 ** 32 + 1, 3]) {
      writer.observeJob('restore', 'succeeded', durationMs);
    }
    expect(ofSeries(histogram.read(), 'restore', 'succeeded').sumMs).toBe(8_589_934_597);
  });

  it('are exact up to 2^53, within one shard and over two', () => {
    const histogram = JobHistogram.create();
    const [first, second] = [histogram.writer(), histogram.writer()];
    first.observeJob('backup', 'succeeded', 2 ** 53 - 4);
    first.observeJob('backup', 'succeeded', 1);
    expect(ofSeries(histogram.read(), 'backup', 'succeeded').sumMs).toBe(9_007_199_254_740_989);
    second.observeJob('backup', 'succeeded', 1);
    second.observeJob('backup', 'succeeded', 1);
    expect(ofSeries(histogram.read(), 'backup', 'succeeded').sumMs).toBe(9_007_199_254_740_991);
  });
});

describe('shards', () => {
  it('threads that write at the same time lose nothing', async () => {
    const histogram = JobHistogram.create();
    const own = histogram.writer();
    const jobLists = [1, 2, 3].map((seed) => manyJobs(seed, 20_000));
    const writers = await startJobWriters(histogram.buffer, jobLists, { repeat: false });
    writers.go();
    const ownJobs = manyJobs(4, 20_000);
    for (const job of ownJobs) own.observeJob(...job);
    expect(await writers.stop()).toEqual([1, 1, 1]);
    expect(histogram.read()).toEqual(PlainHistogram.of([...jobLists, ownJobs].flat()).read());
  });

  it('counts of a thread that ended stay', async () => {
    const histogram = JobHistogram.create();
    for (let generation = 1; generation <= 2; generation++) {
      const jobs: Job[] = [['diff', 'succeeded', 1_500]];
      const writers = await startJobWriters(histogram.buffer, [jobs], { repeat: false });
      writers.go();
      await writers.stop();
      expect(ofSeries(histogram.read(), 'diff', 'succeeded').sumMs).toBe(1_500 * generation);
    }
  });

  it('one writer more than there are shards is refused, and those that have one go on', () => {
    const histogram = JobHistogram.create();
    const writers = Array.from({ length: MAX_WRITERS }, () => histogram.writer());
    expect(MAX_WRITERS).toBe(256);
    for (const another of [histogram, JobHistogram.attach(histogram.buffer)]) {
      expect(() => another.writer()).toThrow(
        expect.objectContaining({
          code: 'too_many_writers',
          message: expect.stringContaining('256'),
        }),
      );
    }
    for (const writer of writers) writer.observeJob('unlock', 'failed', 5_000);
    expect(ofSeries(histogram.read(), 'unlock', 'failed')).toEqual({
      counts: [0, 256, 0, 0, 0, 0, 0, 0, 0, 0],
      sumMs: 1_280_000,
    });
  });
});

describe('a reading', () => {
  it('of a new histogram has all 27 series, at zero', () => {
    const histogram = JobHistogram.create();
    expect(histogram.read()).toEqual(NOTHING);
    histogram.writer();
    expect(histogram.read()).toEqual(NOTHING);
  });

  it('is not changed by later writes', () => {
    const histogram = JobHistogram.create();
    const writer = histogram.writer();
    writer.observeJob('backup', 'succeeded', 700);
    const before = histogram.read();
    const copy = structuredClone(before);
    for (let n = 0; n < 3; n++) writer.observeJob('backup', 'succeeded', 700);
    expect(before).toEqual(copy);
    expect(histogram.read()).not.toEqual(copy);
  });

  it('equals a plain histogram after any observations by any writers', () => {
    const step = fc.record({
      writer: fc.nat({ max: 3 }),
      // Few series in a run, so that their banks take turns many times.
      series: fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: SERIES_COUNT - 1 })),
      durationMs: fc.oneof(
        fc.integer({ min: -1_000, max: 100_000_000 }),
        fc
          .tuple(fc.constantFrom(1, 5, 30, 60, 300, 1800, 3600, 21600, 86400), fc.integer())
          .map(([seconds, by]) => seconds * 1000 + (by % 2)),
        fc.integer({ min: 2 ** 32 - 2, max: 2 ** 45 }),
        fc.double({ min: -10, max: 1e10, noNaN: true }),
      ),
      read: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const histogram = JobHistogram.create();
        const writers = Array.from({ length: 4 }, () =>
          JobHistogram.attach(histogram.buffer).writer(),
        );
        const plain = new PlainHistogram();
        for (const { writer, series, durationMs, read } of steps) {
          const { kind, status } = ALL_SERIES[series] ?? { kind: 'backup', status: 'failed' };
          writers[writer]?.observeJob(kind, status, durationMs);
          plain.observe(kind, status, durationMs);
          if (read) expect(histogram.read()).toEqual(plain.read());
        }
        expect(histogram.read()).toEqual(plain.read());
      }),
    );
  });

  it('taken while threads write is never torn', async () => {
    const histogram = JobHistogram.create();
    // In each series the bucket tells the duration, so counts and sum of different moments disagree.
    const mixed = [3, 0, 7, 9, 1, 5, 5, 2, 8, 4, 6].map(
      (bucket): Job => ['check', 'failed', DURATION_OF_BUCKET[bucket] ?? 0],
    );
    const fixed: Job[] = [['backup', 'succeeded', DURATION_OF_BUCKET[4] ?? 0]];
    const jobLists = [fixed, [...mixed, ...fixed]];
    const writers = await startJobWriters(histogram.buffer, jobLists, { repeat: true });
    const faults = { torn: 0, backwards: 0 };
    const readings = new Set<number>();
    let last = histogram.read();
    writers.go();
    for (const deadline = performance.now() + 1_000; performance.now() < deadline; ) {
      const reading = histogram.read();
      if (isTorn(reading)) faults.torn++;
      if (reading.counts.some((count, cell) => count < (last.counts[cell] ?? 0))) {
        faults.backwards++;
      }
      readings.add(reading.counts.reduce((sum, count) => sum + count));
      last = reading;
    }
    const rounds = await writers.stop();
    expect(faults).toEqual({ torn: 0, backwards: 0 });
    // Without many different readings nothing was tried.
    expect(readings.size).toBeGreaterThan(10);
    const total = PlainHistogram.of([]);
    jobLists.forEach((jobs, thread) => {
      for (const job of jobs) total.observe(...job, rounds[thread]);
    });
    expect(histogram.read()).toEqual(total.read());
  });
});

/** A duration of its own for each bucket, from the shortest to `+Inf`. */
const DURATION_OF_BUCKET = [
  7, 1_009, 5_003, 30_011, 60_013, 300_007, 1_800_017, 3_600_011, 21_600_017, 86_400_021,
];

function isTorn({ counts, sumsMs }: JobReading): boolean {
  return sumsMs.some((sumMs, series) => {
    const expected = DURATION_OF_BUCKET.reduce(
      (sum, durationMs, bucket) =>
        sum + durationMs * (counts[series * BUCKET_COUNT + bucket] ?? Number.NaN),
      0,
    );
    return sumMs !== expected;
  });
}

/** The only observation of a new histogram, as it reads. */
function soleObservation(durationMs: number): { le: string | undefined; sumMs: number } {
  const histogram = JobHistogram.create();
  histogram.writer().observeJob('backup', 'succeeded', durationMs);
  const { counts, sumMs } = ofSeries(histogram.read(), 'backup', 'succeeded');
  expect(counts.reduce((sum, count) => sum + count)).toBe(1);
  return { le: LES[counts.indexOf(1)], sumMs };
}

function ofSeries({ counts, sumsMs }: JobReading, kind: JobKind, status: JobStatus) {
  const series = seriesIndex(kind, status);
  return {
    counts: [...counts.subarray(series * BUCKET_COUNT, (series + 1) * BUCKET_COUNT)],
    sumMs: sumsMs[series] ?? Number.NaN,
  };
}

/** As many jobs of all series and sizes, the same for the same seed. */
function manyJobs(seed: number, count: number): Job[] {
  return Array.from({ length: count }, (_, n) => {
    const { kind, status } = ALL_SERIES[(n * 7 + seed) % 27] ?? {
      kind: 'backup',
      status: 'failed',
    };
    return [kind, status, (n * 7_919 + seed * 104_729) ** 2 % 100_000_007];
  });
}

/** The same thing without shared memory: what is counted where is plain to see. */
class PlainHistogram {
  readonly #counts = new Map<string, number>();
  readonly #sumsMs = new Map<string, bigint>();

  static of(jobs: readonly Job[]): PlainHistogram {
    const histogram = new PlainHistogram();
    for (const job of jobs) histogram.observe(...job);
    return histogram;
  }

  observe(kind: JobKind, status: JobStatus, durationMs: number, times = 1): void {
    const ms = Math.max(0, Math.trunc(durationMs));
    const le = LES.find((bound) => bound === '+Inf' || ms <= Number(bound) * 1000);
    const row = `${kind} ${status} ${le}`;
    this.#counts.set(row, (this.#counts.get(row) ?? 0) + times);
    const series = `${kind} ${status}`;
    this.#sumsMs.set(series, (this.#sumsMs.get(series) ?? 0n) + BigInt(ms) * BigInt(times));
  }

  read(): JobReading {
    const series = ALL_SERIES.map(({ kind, status }) => `${kind} ${status}`);
    return {
      counts: Float64Array.from(
        series.flatMap((name) => LES.map((le) => this.#counts.get(`${name} ${le}`) ?? 0)),
      ),
      sumsMs: Float64Array.from(series, (name) => Number(this.#sumsMs.get(name) ?? 0n)),
    };
  }
}
