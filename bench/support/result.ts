import type { Circumstances } from './machine.ts';
import { median, type Summary, summarise } from './samples.ts';

/** The role of a contestant. No contestant can be faster than the `floor`. */
export type Role = 'floor' | 'own' | 'peer';

/** The figures of one contestant for one measure in one scenario. */
export interface Row extends Summary {
  readonly measure: string;
  readonly unit: Unit;
  /** Rows of the same scenario were measured in turn and can be compared. */
  readonly scenario: Scenario;
  readonly contestant: string;
  readonly role: Role;
  /** Ratio to the floor, by round; absent if there is no floor. */
  readonly toFloor?: Summary;
}

export type Unit = 'ns' | 'ms' | 'MB' | 'KiB' | 'jobs/s' | 'times' | 'samples';
export type Scenario = Readonly<Record<string, string | number>>;

export interface BenchResult {
  readonly rows: readonly Row[];
  /** Notes for the reader, such as who was left out and why. */
  readonly notes: readonly string[];
}

/** The samples of a contestant, by round. */
export interface Measured {
  readonly contestant: string;
  readonly role: Role;
  readonly rounds: readonly (readonly number[])[];
}

/**
 * Summarizes the samples of all rounds. The ratio to the floor is computed within each round,
 * because a machine that is slow for a while slows down both.
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
    // A ratio to a floor of 0 is undefined. That occurs where an idle loop is never late.
    return ratios.every(Number.isFinite) ? { ...row, toFloor: summarise(ratios) } : row;
  });
}

/** The file that `--json` writes and the report reads. */
export interface ResultFile extends BenchResult {
  readonly bench: string;
  readonly question: string;
  readonly quick: boolean;
  readonly measured: Circumstances;
}
