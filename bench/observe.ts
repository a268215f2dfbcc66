import { createMetrics } from '../src/index.ts';
import { FLOOR_CELLS, observers } from './observe/observers.ts';
import { ContendedThreads } from './observe/threads.ts';
import type { BenchDefinition, BenchOptions } from './support/bench.ts';
import { TABLE_SIZE } from './support/jobs.ts';
import type { Row } from './support/result.ts';
import { rowsOf } from './support/result.ts';
import { type Contestant, type Pace, rotate } from './support/rotation.ts';

export const observe: BenchDefinition = {
  name: 'observe',
  question: 'How long does it take to record one finished job?',
  async run(options) {
    const metrics = createMetrics({ gates: {} });
    try {
      const memory = { registry: metrics.registry.shared, floor: floorCells() };
      const rows = [...(await alone(memory, options)), ...(await contended(memory, options))];
      return {
        rows,
        notes: [
          'Two threads: prom-client and OpenTelemetry cannot share a registry between threads. Each thread has its own registry. The cost of adding them up is not included.',
        ],
      };
    } finally {
      await metrics.close();
    }
  },
};

interface Memory {
  readonly registry: SharedArrayBuffer;
  readonly floor: SharedArrayBuffer;
}

function floorCells(): SharedArrayBuffer {
  return new SharedArrayBuffer(FLOOR_CELLS * Int32Array.BYTES_PER_ELEMENT);
}

function pace(quick: boolean): Pace {
  return quick
    ? { rounds: 4, roundMs: 20, patienceMs: 5_000 }
    : { rounds: 25, roundMs: 100, patienceMs: 60_000 };
}

async function alone(memory: Memory, { quick, peers, progress }: BenchOptions): Promise<Row[]> {
  progress.scenario('1 thread');
  const contestants = observers(memory)
    .filter(({ role }) => peers || role !== 'peer')
    .map(({ name, role, pass }): Contestant => ({ name, role, run: pass, operations: TABLE_SIZE }));
  return inNanoseconds(1, await rotate(contestants, pace(quick), progress));
}

async function contended(memory: Memory, { quick, peers, progress }: BenchOptions): Promise<Row[]> {
  progress.scenario('2 threads');
  const threads = await ContendedThreads.start(2, memory);
  try {
    const contestants = observers(memory)
      .map(
        ({ name, role }, index): Contestant => ({
          name,
          role,
          operations: TABLE_SIZE,
          async: true,
          run: () => threads.run(index),
        }),
      )
      .filter(({ role }) => peers || role !== 'peer');
    return inNanoseconds(2, await rotate(contestants, pace(quick), progress));
  } finally {
    await threads.close();
  }
}

function inNanoseconds(threads: number, measured: Awaited<ReturnType<typeof rotate>>): Row[] {
  return rowsOf(
    { measure: 'one finished job', unit: 'ns', scenario: { threads } },
    measured.map((one) => ({
      ...one,
      rounds: one.rounds.map((samples) => samples.map((ms) => ms * 1e6)),
    })),
  );
}
