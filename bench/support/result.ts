import type { Circumstances } from './machine.ts';
import { median, type Summary, summarise } from './samples.ts';

/** - `floor`: what no contestant can be faster than */
export type Role = 'floor' | 'own' | 'peer';

/** One contestant's figures for one measure under one set of circumstances. */
export interface Row extends Summary {
  readonly measure: string;
  readonly unit: Unit;
  /** Rows of one scenario were measured in turn and can be compared. */
  readonly scenario: Scenario;
  readonly contestant: string;
  readonly role: Role;
  /** How many times the floor it is, round by round; absent where there is no floor. */
  readonly toFloor?: Summary;
}

export type Unit = 'ns' | 'ms' | 'MB' | 'KiB' | 'jobs/s' | 'times';
export type Scenario = Readonly<Record<string, string | number>>;

export interface BenchResult {
  readonly rows: readonly Row[];
  /** What a reader has to know: who was left out, and why. */
  readonly notes: readonly string[];
}

/** A contestant's samples, kept apart by round. */
export interface Measured {
  readonly contestant: string;
  readonly role: Role;
  readonly rounds: readonly (readonly number[])[];
}

/**
 * Summaries over the samples of all rounds. The ratio to the floor is taken within each round, so that
 * a machine that is slow for a while slows both.
 */
export function rowsOf(
  { measure, unit, scenario }: Pick<Row, 'measure' | 'unit' | 'scenario'>,
  measured: readonly Measured[],
): Row[] {
  const floor = measured.find(({ role }) => role === 'floor');
  return measured.map(({ contestant, role, rounds }) => {
    const row = { measure, unit, scenario, contestant, role, ...summarise(rounds.flat()) };
    if (floor === undefined || role === 'floor') return row;
    const ratios = rounds.flatMap((samples, round) => {
      const base = floor.rounds[round] ?? [];
      return samples.length === 0 || base.length === 0 ? [] : [median(samples) / median(base)];
    });
    // Nothing is a multiple of none, as where an idle loop is never late.
    return ratios.every(Number.isFinite) ? { ...row, toFloor: summarise(ratios) } : row;
  });
}

/** What `--json` writes and the report reads. */
export interface ResultFile extends BenchResult {
  readonly bench: string;
  readonly question: string;
  readonly quick: boolean;
  readonly measured: Circumstances;
}
