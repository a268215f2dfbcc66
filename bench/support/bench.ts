import type { Progress } from './progress.ts';
import type { BenchResult } from './result.ts';

export interface BenchOptions {
  /** Fleet sizes that replace those of the bench. */
  readonly hosts: number | undefined;
  /**
   * Makes a run of seconds, with rough figures, to see that everything runs. The figures must not
   * be quoted.
   */
  readonly quick: boolean;
  /** Whether to measure peers, or only ours and the floor. */
  readonly peers: boolean;
  readonly progress: Progress;
}

/** A question and how to measure the answer. */
export interface BenchDefinition {
  readonly name: string;
  readonly question: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

/** The fleet sizes of a bench. */
export function fleetSizes(
  { hosts, quick }: BenchOptions,
  all: readonly number[] = [100, 1_000, 10_000, 100_000],
): readonly number[] {
  if (hosts !== undefined) return [hosts];
  return quick ? all.slice(0, 1) : all;
}
