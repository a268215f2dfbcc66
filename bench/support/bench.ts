import type { Progress } from './progress.ts';
import type { BenchResult } from './result.ts';

export interface BenchOptions {
  /** Sizes of fleets to take instead of the bench's own. */
  readonly hosts: number | undefined;
  /** Rough figures in seconds, to see that all runs; not to be quoted. */
  readonly quick: boolean;
  /** Whether the peers take part, or only ours and the floor. */
  readonly peers: boolean;
  readonly progress: Progress;
}

/** One question and how to answer it. */
export interface BenchDefinition {
  readonly name: string;
  readonly question: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

/** The sizes of fleets that a bench takes. */
export function fleetSizes(
  { hosts, quick }: BenchOptions,
  all: readonly number[] = [100, 1_000, 10_000, 100_000],
): readonly number[] {
  if (hosts !== undefined) return [hosts];
  return quick ? all.slice(0, 1) : all;
}
