import { gunzipSync } from 'node:zlib';
import { allocateFleetBuffer } from '../src/metrics/fleet-layout.ts';
import { JobHistogram } from '../src/metrics/job-histogram.ts';
import { BUILD } from './peers/peer.ts';
import type { RenderKind } from './render/protocol.ts';
import { RenderBenchThread } from './render/threads.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { type Row, rowsOf } from './support/result.ts';
import { type Contestant, type Pace, rotate } from './support/rotation.ts';
import { assertSameRows } from './support/same-rows.ts';
import type { Encoding } from './support/scraper.ts';

const KINDS: readonly RenderKind[] = ['ours', 'prom-client', 'OpenTelemetry'];
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip'];

export const render: BenchDefinition = {
  name: 'render',
  question: 'What does a body cost, cold and with some of the hosts changed?',
  async run(options) {
    const rows: Row[] = [];
    for (const hosts of fleetSizes(options)) rows.push(...(await ofSize(hosts, options)));
    return {
      rows,
      notes: [
        'Libraries: their text as bytes; for gzip compressed by zlib at level 1. What changed in between makes no difference to them.',
      ],
    };
  },
};

function pace(hosts: number, quick: boolean): Pace {
  if (quick) return { rounds: 3, roundMs: 30, patienceMs: 500 };
  return { rounds: hosts <= 10_000 ? 15 : 10, roundMs: 150, patienceMs: 20_000 };
}

async function ofSize(hosts: number, { quick, peers, progress }: BenchOptions): Promise<Row[]> {
  progress.scenario(`${hosts} hosts, loading`);
  const shared = {
    fleet: allocateFleetBuffer(),
    jobs: JobHistogram.create().buffer,
    build: { ...BUILD, nodeVersion: process.version },
  };
  const threads: RenderBenchThread[] = [];
  try {
    for (const kind of peers ? KINDS : KINDS.slice(0, 1)) {
      threads.push(await RenderBenchThread.start({ ...shared, kind, hosts }));
    }
    await assertSame(threads);
    const rows: Row[] = [];
    for (const encoding of ENCODINGS) {
      progress.scenario(`${hosts} hosts, ${encoding}`);
      const contestants = threads.flatMap((thread) =>
        thread.tasks
          .filter((task) => task.encoding === encoding)
          .map(
            (task): Contestant => ({
              name: task.name,
              role: task.role,
              async: true,
              run: () => thread.time(task),
            }),
          ),
      );
      const measured = await rotate(contestants, pace(hosts, quick), progress);
      const scenario = { hosts, encoding };
      rows.push(...rowsOf({ measure: 'one body', unit: 'ms', scenario }, measured));
    }
    return rows;
  } finally {
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

async function assertSame(threads: readonly RenderBenchThread[]): Promise<void> {
  let expected: string | undefined;
  for (const [index, thread] of threads.entries()) {
    for (const encoding of ENCODINGS) {
      const body = await thread.body(encoding);
      if (body === undefined) continue;
      const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
      expected ??= text;
      assertSameRows(expected, text, `${KINDS[index]}, ${encoding}`);
    }
  }
}
