/**
 * The kinds and statuses of restic jobs. They are sorted, and the exposition lists them in this
 * order.
 *
 * @example
 * ```ts
 * const isKnownKind = JOB_KINDS.some((kind) => kind === name);
 * ```
 */
export const JOB_KINDS = [
  'backup',
  'check',
  'diff',
  'forget',
  'init',
  'prune',
  'restore',
  'unlock',
  'update',
] as const;
export const JOB_STATUSES = ['cancelled', 'failed', 'succeeded'] as const;

export type JobKind = (typeof JOB_KINDS)[number];
export type JobStatus = (typeof JOB_STATUSES)[number];

export const SERIES_COUNT = JOB_KINDS.length * JOB_STATUSES.length;

/** Inclusive upper bounds of the duration buckets in seconds. A bucket `+Inf` follows them. */
export const BUCKET_BOUNDS_SECONDS = [1, 5, 30, 60, 300, 1800, 3600, 21600, 86400] as const;
export const BUCKET_COUNT = BUCKET_BOUNDS_SECONDS.length + 1;

export function isJobKind(value: string): value is JobKind {
  return (JOB_KINDS as readonly string[]).includes(value);
}

export function isJobStatus(value: string): value is JobStatus {
  return (JOB_STATUSES as readonly string[]).includes(value);
}

/**
 * Index of a series. Series are numbered kind by kind, in the order of the exposition. Returns NaN
 * for an unknown kind or status.
 */
export function seriesIndex(kind: JobKind, status: JobStatus): number {
  return kindIndex(kind) * JOB_STATUSES.length + statusIndex(status);
}

/*
 * Switches over literals instead of Maps or objects. A finished job names its series by strings.
 * Comparing pointers of interned strings takes less than half the time of two hash lookups.
 */
function kindIndex(kind: JobKind): number {
  switch (kind) {
    case 'backup':
      return 0;
    case 'check':
      return 1;
    case 'diff':
      return 2;
    case 'forget':
      return 3;
    case 'init':
      return 4;
    case 'prune':
      return 5;
    case 'restore':
      return 6;
    case 'unlock':
      return 7;
    case 'update':
      return 8;
    default:
      return Number.NaN;
  }
}

function statusIndex(status: JobStatus): number {
  switch (status) {
    case 'cancelled':
      return 0;
    case 'failed':
      return 1;
    case 'succeeded':
      return 2;
    default:
      return Number.NaN;
  }
}

/*
 * Finds the bucket with two table reads and one comparison. No two bounds (in milliseconds) are in
 * the same octave, that is, have the same number of leading zeros in 32 bits. So at most one bound
 * needs to be compared with a duration.
 */
const bucketBelow = new Uint8Array(33);
const boundInOctave = new Float64Array(33).fill(Number.POSITIVE_INFINITY);
for (let leadingZeros = 0; leadingZeros <= 32; leadingZeros++) {
  const smallest = leadingZeros === 32 ? 0 : 2 ** (31 - leadingZeros);
  const bound = BUCKET_BOUNDS_SECONDS.find((s) => Math.clz32(s * 1000) === leadingZeros);
  if (bound !== undefined) boundInOctave[leadingZeros] = bound * 1000;
  bucketBelow[leadingZeros] = BUCKET_BOUNDS_SECONDS.filter((s) => s * 1000 < smallest).length;
}

/** Index of the bucket of a duration in whole milliseconds, which must not be negative. */
export function bucketOf(durationMs: number): number {
  if (durationMs >= 2 ** 32) return BUCKET_COUNT - 1;
  const leadingZeros = Math.clz32(durationMs);
  const below = bucketBelow[leadingZeros] as number;
  return durationMs > (boundInOctave[leadingZeros] as number) ? below + 1 : below;
}
