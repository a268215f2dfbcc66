import { JOB_KINDS, JOB_STATUSES, type JobKind, type JobStatus } from '../../src/index.ts';
import { logNormal, pick, seededRandom } from './random.ts';

export interface FinishedJob {
  readonly kind: JobKind;
  readonly status: JobStatus;
  /** Whole milliseconds. */
  readonly ms: number;
}

export const TABLE_SIZE = 4096;

/**
 * Jobs in random order, with all series equally frequent and durations from milliseconds to days.
 * As in reality, neither the branch predictor nor the cache can learn what comes next.
 */
export function jobTable(): FinishedJob[] {
  const random = seededRandom(TABLE_SIZE);
  const series = JOB_KINDS.flatMap((kind) => JOB_STATUSES.map((status) => ({ kind, status })));
  return Array.from({ length: TABLE_SIZE }, (_, index) => {
    const { kind, status } = series[index] ?? {
      kind: pick(random, JOB_KINDS),
      status: pick(random, JOB_STATUSES),
    };
    return { kind, status, ms: Math.floor(logNormal(random, 60_000, 2.5)) };
  })
    .map((job) => ({ job, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ job }) => job);
}
