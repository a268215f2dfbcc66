import { Bench } from 'tinybench';
import type { Progress } from './progress.ts';
import type { Measured, Role } from './result.ts';

export interface Contestant {
  readonly name: string;
  readonly role: Role;
  /** Runs once, measured. */
  readonly run: () => unknown;
  /** Whether `run` returns a promise. tinybench would call it once to find out. Default: false. */
  readonly async?: boolean;
  /** Before each run, not measured. */
  readonly prepare?: () => void | Promise<void>;
  /** Operations that one run is; the samples are per operation. Default: 1. */
  readonly operations?: number;
}

export interface Pace {
  readonly rounds: number;
  /** For which each contestant runs in a round, at least once. */
  readonly roundMs: number;
  /** A contestant that has taken longer than this leaves after its third round. */
  readonly patienceMs: number;
}

const MIN_ROUNDS = 3;

/**
 * Runs the contestants in turn, round after round, each time starting with another one: what happens
 * to the machine meanwhile happens to all of them. A round before the first is to warm up.
 * @returns samples in milliseconds an operation
 */
export async function rotate(
  contestants: readonly Contestant[],
  { rounds, roundMs, patienceMs }: Pace,
  progress: Progress,
): Promise<Measured[]> {
  const measured = contestants.map(({ name, role }) => ({
    contestant: name,
    role,
    rounds: [] as number[][],
    spentMs: 0,
  }));
  for (let round = -1; round < rounds; round++) {
    progress.step(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < contestants.length; turn++) {
      const index = (turn + round + 1) % contestants.length;
      const contestant = contestants[index];
      const record = measured[index];
      if (contestant === undefined || record === undefined) continue;
      if (record.spentMs > patienceMs && record.rounds.length >= Math.min(MIN_ROUNDS, rounds)) {
        continue;
      }
      const startedAt = performance.now();
      const samples = await sample(contestant, roundMs);
      record.spentMs += performance.now() - startedAt;
      if (round >= 0) record.rounds[round] = samples;
    }
  }
  return measured.map(({ spentMs: _, ...record }) => ({
    ...record,
    rounds: Array.from(record.rounds, (samples) => samples ?? []),
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
  bench.add(name, run, { async, ...(prepare && { beforeEach: () => prepare() }) });
  const [task] = await bench.run();
  const result = task?.result;
  if (result === undefined || !('latency' in result)) throw new Error(`${name}: no result`);
  return (result.latency.samples ?? []).map((ms) => ms / operations);
}
