import { gunzipSync } from 'node:zlib';
import { allocateFleetBuffer } from '../src/shared/fleet-layout.ts';
import { JobHistogram } from '../src/shared/job-histogram.ts';
import { type GoPeers, withGoPeers } from './peers/go.ts';
import { BUILD } from './peers/peer.ts';
import { GoRenderProcess } from './render/go.ts';
import type { ListedTask, RenderKind } from './render/protocol.ts';
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
  question: 'How long does a render take, cold and after some hosts changed?',
  run: (options) =>
    withGoPeers(options.peers, async (go) => {
      const rows: Row[] = [];
      for (const hosts of fleetSizes(options)) rows.push(...(await ofSize(hosts, go, options)));
      return {
        rows,
        notes: [
          'Ours, cold: the renderer keeps nothing from an earlier render. It writes to memory that was used before, as the floor does.',
          'Node libraries: their text, encoded to bytes, and for gzip compressed by zlib at level 1. Go: the handler of the library, with a writer that discards the bytes. These libraries do the same work however much has changed.',
          ...go.notes,
        ],
      };
    }),
};

/** A contestant. It may run in another thread or process. */
interface Rendering {
  readonly tasks: readonly ListedTask[];
  time(task: ListedTask): Promise<unknown>;
  /** The body in the given encoding, or undefined if the contestant does not support that encoding. */
  body(encoding: Encoding): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

function pace(hosts: number, quick: boolean): Pace {
  if (quick) return { rounds: 3, roundMs: 30, patienceMs: 500 };
  return { rounds: hosts <= 10_000 ? 15 : 10, roundMs: 150, patienceMs: 20_000 };
}

async function ofSize(
  hosts: number,
  go: GoPeers,
  { quick, peers, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`${hosts} hosts, loading`);
  const shared = {
    fleet: allocateFleetBuffer(),
    jobs: JobHistogram.create().buffer,
    build: { ...BUILD, nodeVersion: process.version },
  };
  const contestants: Rendering[] = [];
  try {
    for (const kind of peers ? KINDS : KINDS.slice(0, 1)) {
      contestants.push(await RenderBenchThread.start({ ...shared, kind, hosts }));
    }
    for (const peer of go.peers) contestants.push(await GoRenderProcess.start(peer, hosts));
    await assertSame(contestants);
    const rows = await bodySizes(hosts, contestants[0]);
    for (const encoding of ENCODINGS) {
      progress.scenario(`${hosts} hosts, ${encoding}`);
      const taking = contestants.flatMap((contestant) =>
        contestant.tasks
          .filter((task) => task.encoding === encoding)
          .map(
            (task): Contestant => ({
              name: task.name,
              role: task.role,
              async: true,
              run: () => contestant.time(task),
            }),
          ),
      );
      const measured = await rotate(taking, pace(hosts, quick), progress);
      const scenario = { hosts, encoding };
      rows.push(...rowsOf({ measure: 'one body', unit: 'ms', scenario }, measured));
    }
    return rows;
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.close()));
  }
}

/** The size of our body. The others show the same rows, in about as many bytes. */
async function bodySizes(hosts: number, ours: Rendering | undefined): Promise<Row[]> {
  const rows: Row[] = [];
  for (const encoding of ENCODINGS) {
    const body = await ours?.body(encoding);
    if (body === undefined) continue;
    const measured = { contestant: 'ours', role: 'own', rounds: [[body.length / 1e6]] } as const;
    rows.push(
      ...rowsOf({ measure: 'size of a body', unit: 'MB', scenario: { hosts, encoding } }, [
        measured,
      ]),
    );
    if (encoding !== 'identity') continue;
    const samples = body
      .toString()
      .split('\n')
      .filter((line) => /^[^#]/.test(line)).length;
    const counted = { ...measured, rounds: [[samples]] };
    rows.push(
      ...rowsOf({ measure: 'samples in a body', unit: 'samples', scenario: { hosts } }, [counted]),
    );
  }
  return rows;
}

async function assertSame(contestants: readonly Rendering[]): Promise<void> {
  let expected: string | undefined;
  for (const contestant of contestants) {
    for (const encoding of ENCODINGS) {
      const body = await contestant.body(encoding);
      if (body === undefined) continue;
      const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
      expected ??= text;
      assertSameRows(expected, text, `${contestant.tasks.at(-1)?.name}, ${encoding}`);
    }
  }
}
