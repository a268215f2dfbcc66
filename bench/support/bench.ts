import type { Progress } from './progress.ts';
import type { BenchResult } from './result.ts';

export interface BenchOptions {
  /** Sizes of fleets to take instead of the bench's own. */
  readonly hosts: number | undefined;
  /** Rough figures in seconds, to see that all runs; not to be quoted. */
  readonly quick: boolean;
  readonly progress: Progress;
}

/** One question and how to answer it. */
export interface BenchDefinition {
  readonly name: string;
  readonly question: string;
  run(options: BenchOptions): Promise<BenchResult>;
}
