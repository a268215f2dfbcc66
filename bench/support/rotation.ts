import { Bench } from 'tinybench';
import type { Progress } from './progress.ts';
import type { Measured, Role } from './result.ts';

export interface Contestant {
  readonly name: string;
  readonly role: Role;
  /** Runs once. This is measured. */
  readonly run: () => unknown;
  /**
   * Whether `run` returns a promise. Without this, tinybench would call `run` once to find out.
   * Default: false.
   */
  readonly async?: boolean;
  /** Called before each run and not measured. */
  readonly prepare?: () => unknown;
  /** Operations per run. Samples are per operation. Default: 1. */
  readonly operations?: number;
}

export interface Pace {
  readonly rounds: number;
  /** Milliseconds that each contestant runs in a round. It runs at least once. */
  readonly roundMs: number;
  /** A contestant that has taken longer than this in total leaves after its third round. */
  readonly patienceMs: number;
}

const MIN_ROUNDS = 3;

/**
 * Visits all items in turn in each round, and starts each round with a different one. Disturbances
 * of the machine therefore affect all of them. Round -1 is a warm-up.
 */
export async function inTurn<T>(
  items: readonly T[],
  rounds: number,
  progress: Progress,
  visit: (item: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = -1; round < rounds; round++) {
    progress.step(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < items.length; turn++) {
      const item = items[(turn + round + 1) % items.length];
      if (item !== undefined) await visit(item, round);
    }
  }
}

/**
 * Runs the contestants in turn with tinybench.
 * @returns samples in milliseconds per operation
 */
export async function rotate(
  contestants: readonly Contestant[],
  { rounds, roundMs, patienceMs }: Pace,
  progress: Progress,
): Promise<Measured[]> {
  const records = contestants.map((contestant) => ({
    contestant,
    rounds: [] as number[][],
    spentMs: 0,
  }));
  await inTurn(records, rounds, progress, async (record, round) => {
    if (record.spentMs > patienceMs && record.rounds.length >= Math.min(MIN_ROUNDS, rounds)) return;
    const startedAt = performance.now();
    const samples = await sample(record.contestant, roundMs);
    record.spentMs += performance.now() - startedAt;
    if (round >= 0) record.rounds.push(samples);
  });
  return records.map(({ contestant: { name, role }, rounds }) => ({
    contestant: name,
    role,
    rounds,
  }));
}

/** One short run of tinybench. */
async function sample(contestant: Contestant, timeMs: number): Promise<number[]> {
  const { name, run, async = false, prepare, operations = 1 } = contestant;
  const bench = new Bench({
    time: timeMs,
    iterations: 1,
    warmup: false,
    retainSamples: true,
    throws: true,
  });
  bench.add(name, run, {
    async,
    ...(prepare && {
      beforeEach: async () => {
        await prepare();
      },
    }),
  });
  const [task] = await bench.run();
  const result = task?.result;
  if (result === undefined || !('latency' in result)) throw new Error(`${name}: no result`);
  return (result.latency.samples ?? []).map((ms) => ms / operations);
}
