import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Encoding } from '../../src/contract/encoding.ts';
import { type Host, REPO_STATUSES } from '../../src/contract/host.ts';
import { JOB_KINDS, JOB_STATUSES } from '../../src/contract/jobs.ts';
import { encoderFor } from '../../src/render-thread/encoders.ts';
import type { ExpositionInput } from '../../src/render-thread/exposition.ts';
import { KeptBody } from '../../src/render-thread/kept-body.ts';
import { ServerReader } from '../../src/render-thread/server-reader.ts';
import {
  BodyBytes,
  type BodyLayout,
  BodyReader,
  WORDS_PER_PLACE,
} from '../../src/shared/body-layout.ts';
import { PAGE_ROWS } from '../../src/shared/fleet-layout.ts';
import { FleetReader } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { READING_CELLS } from '../../src/shared/server-families.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { CopyingReader } from '../support/copying-reader.ts';
import { ATOMIC_CALLS, interruptedAt } from '../support/interrupted-at.ts';
import { naiveBody } from '../support/naive-body.ts';
import { aboutFleet } from '../support/serve.ts';

const BUILD = { version: '1', commit: 'c', nodeVersion: 'v22' };

function sent(layout: BodyLayout): Buffer {
  const reader = new BodyReader(new BodyBytes(layout));
  const slices: Buffer[] = [];
  for (let at = 0; at < reader.total; at += slices.at(-1)?.length ?? 0) {
    slices.push(Buffer.from(reader.read(at)));
  }
  return Buffer.concat(slices);
}

function textOf(layout: BodyLayout, encoding: Encoding): string {
  const bytes = sent(layout);
  return (encoding === 'gzip' ? gunzipSync(bytes) : bytes).toString();
}

/** What a body shows besides hosts, if that does not matter. */
const NOTHING_ELSE = {
  jobs: JobHistogram.create().read(),
  server: new Float64Array(READING_CELLS),
};

/** A fleet and its bodies in both encodings, as the render thread keeps them, beside a naive body. */
class Rig {
  readonly fleet = new FleetTable();
  readonly jobs = JobHistogram.create();
  readonly writer = this.jobs.writer();
  /** Bodies that readers have not let go of, with what they said when they were rendered. */
  readonly held = new Map<number, { encoding: Encoding; layout: BodyLayout; text: string }>();
  readonly #bodies = {
    identity: new KeptBody(encoderFor('identity'), new FleetReader(this.fleet.buffer), BUILD),
    gzip: new KeptBody(encoderFor('gzip'), new FleetReader(this.fleet.buffer), BUILD),
  };
  #renders = 0;

  /** Renders in one encoding and holds the body. */
  scrape(encoding: Encoding): number {
    const jobs = this.jobs.read();
    const server = new ServerReader(ServerStats.create().buffer).read();
    const layout = this.render(encoding, { jobs, server });
    const render = this.#renders;
    // A reader that has never read before cannot have kept anything stale.
    const pages = new CopyingReader(this.fleet.buffer).read();
    const text = naiveBody({ pages, jobs, build: BUILD, server });
    this.held.set(render, { encoding, layout, text });
    return render;
  }

  render(
    encoding: Encoding,
    reading: Pick<ExpositionInput, 'jobs' | 'server'> = NOTHING_ELSE,
  ): BodyLayout {
    return this.#bodies[encoding].render(++this.#renders, [...this.held.keys()], reading);
  }

  /** All bodies that are held still say what they said, to the byte. */
  check(): void {
    for (const { encoding, layout, text } of this.held.values()) {
      expect(textOf(layout, encoding) === text, 'unpacked, the naive body').toBe(true);
    }
  }

  scrapeAndCheck(): void {
    this.scrape('identity');
    this.scrape('gzip');
    this.check();
    this.held.clear();
  }

  /** Bytes that are kept of the last body. */
  kept(encoding: Encoding): number {
    return this.#bodies[encoding].logSize.live;
  }

  forget(encoding: Encoding): void {
    this.#bodies[encoding].forget();
  }
}

/** Spread over the whole range, so that pages split and empty in every place. */
const spread = (n: number) => `01J${String((n * 7919) % 5000).padStart(23, '0')}`;
const rising = (n: number) => `01J${String(n).padStart(23, '0')}`;

/** Text of 200 characters that gzip can hardly make shorter. */
const noise = (seed: number) =>
  createHash('shake256', { outputLength: 100 }).update(`${seed}`).digest('hex');

const encoding = fc.constantFrom<Encoding>('identity', 'gzip');
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      upsert: fc.nat({ max: 1600 }),
      // Mostly no rename, so that a page often changes in nothing but its numbers.
      rename: fc.option(fc.constantFrom('db "2"', 'größe\\', 'a b', 'x'.repeat(255)), {
        nil: undefined,
        freq: 6,
      }),
      online: fc.boolean(),
      snapshotCount: fc.nat({ max: 3 }),
      finishedAtMs: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
      repoSizeBytes: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
      repoStatus: fc.constantFrom(...REPO_STATUSES),
      critical: fc.nat({ max: 1 }),
      warning: fc.nat({ max: 1 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ remove: fc.nat({ max: 1600 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      removeFrom: fc.nat({ max: 1600 }),
      count: fc.nat({ max: 300 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom(...JOB_KINDS),
      status: fc.constantFrom(...JOB_STATUSES),
      ms: fc.nat(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ scrape: encoding, keep: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ release: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ forget: encoding }) },
);

test('after any changes each body, also one held since long, is the naive one of its moment', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(spread, rising),
      fc.nat({ max: 1500 }),
      fc.array(change, { maxLength: 100, size: 'max' }),
      (idOf, filled, changes) => {
        const rig = new Rig();
        for (let n = 0; n < filled; n++) {
          rig.fleet.upsert({ hostId: idOf(n), host: `host-${n}`, online: true });
        }
        for (const step of changes) {
          if ('scrape' in step) {
            const render = rig.scrape(step.scrape);
            if (!step.keep || rig.held.size > 5) {
              rig.check();
              rig.held.delete(render);
            }
          } else if ('release' in step) {
            rig.held.delete([...rig.held.keys()][step.release % rig.held.size] ?? 0);
          } else if ('forget' in step) rig.forget(step.forget);
          else if ('remove' in step) rig.fleet.remove(idOf(step.remove));
          else if ('removeFrom' in step) {
            for (let n = 0; n < step.count; n++) rig.fleet.remove(rising(step.removeFrom + n));
          } else if ('kind' in step) rig.writer.observeJob(step.kind, step.status, step.ms);
          else {
            const { upsert, rename, finishedAtMs, repoSizeBytes, critical, warning, ...rest } =
              step;
            rig.fleet.upsert({
              hostId: idOf(upsert),
              host: rename ?? `host-${upsert}`,
              agentVersion: `${critical}.${warning}`,
              ...(repoSizeBytes !== undefined && { backupIntervalSeconds: repoSizeBytes }),
              ...rest,
              openAlerts: { critical, warning },
              ...(finishedAtMs !== undefined && { lastBackup: { finishedAtMs, succeeded: true } }),
              ...(repoSizeBytes !== undefined && { repoSizeBytes }),
            });
          }
        }
        rig.scrape('identity');
        rig.scrape('gzip');
        rig.check();
      },
    ),
    // Shrinking takes minutes. To shrink a failure, run it again without `endOnFailure`, with its seed and path.
    { numRuns: 60, endOnFailure: true },
  );
}, 180_000);

test('from none to thousands of hosts and back', () => {
  const rig = new Rig();
  for (const hosts of [0, 5000, 10, 3000, 0, 1]) {
    for (let n = 0; n < 5000; n++) {
      const hostId = rising(n);
      if (n < hosts) rig.fleet.upsert({ hostId, host: `host-${n}`, online: n % 2 === 0 });
      else rig.fleet.remove(hostId);
    }
    rig.scrapeAndCheck();
  }
});

// Memory of 256 KiB, in which the pieces are built, grows in the middle of such a run.
test('the rows of a run may have more than 256 KiB', () => {
  const rig = new Rig();
  for (let n = 0; n < 1500; n++) {
    const [host, rest] = [`${n}-${'é'.repeat(250)}`, noise(n)];
    rig.fleet.upsert({ hostId: rising(n), host, online: true, agentVersion: rest, arch: rest });
  }
  rig.scrapeAndCheck();
  rig.fleet.upsert({ hostId: rising(1000), host: 'short', online: false });
  rig.scrapeAndCheck();
});

test('a host enrolled in the middle moves the pages behind it to other runs', () => {
  const rig = new Rig();
  for (let n = 0; n < 5000; n += 2) {
    rig.fleet.upsert({ hostId: rising(n), host: `host-${n}`, online: true });
  }
  rig.scrapeAndCheck();
  for (const n of [1, 2501, 4999]) {
    rig.fleet.upsert({ hostId: rising(n), host: 'late', online: false });
    rig.scrapeAndCheck();
  }
});

describe('a change in the midst of a render', () => {
  const host = (n: number, fields: Partial<Host> = {}) => ({
    ...{ hostId: rising(n), host: `host-${n}`, online: true },
    ...fields,
  });
  /** Of hosts 1 to 100, on two pages. */
  const changes: [name: string, change: (fleet: FleetTable) => void][] = [
    ['of a row', (fleet) => fleet.upsert(host(70, { online: false, openAlerts: { info: 1 } }))],
    ['that adds a host to a full page', (fleet) => fleet.upsert(host(0))],
    [
      'that removes a page',
      (fleet) => {
        for (let n = 1; n <= 64; n++) fleet.remove(rising(n));
      },
    ],
    [
      'that removes a page and uses its block for other hosts',
      (fleet) => {
        for (let n = 1; n <= 64; n++) fleet.remove(rising(n));
        for (let n = 200; n < 260; n++) fleet.upsert(host(n, { snapshotCount: 7 }));
      },
    ],
  ];

  test.each(changes)('%s is in the body as a whole or not at all', (_, change) => {
    const fleetOf100 = () => {
      const rig = new Rig();
      for (let n = 1; n <= 100; n++) rig.fleet.upsert(host(n));
      return rig;
    };
    const bodyOf = (rig: Rig) => aboutFleet(textOf(rig.render('gzip'), 'gzip'));
    const changed = fleetOf100();
    const before = bodyOf(changed);
    change(changed.fleet);
    const after = bodyOf(changed);
    const seen = new Set<string>();
    for (let call = 1, interrupted = true; interrupted; call++) {
      const rig = fleetOf100();
      bodyOf(rig);
      const inMidst = () => change(rig.fleet);
      const render = interruptedAt(call, inMidst, () => bodyOf(rig), ATOMIC_CALLS);
      expect([before, after].includes(render.result), `call ${call}`).toBe(true);
      interrupted = render.interrupted;
      if (interrupted) expect(bodyOf(rig) === after, `after call ${call}`).toBe(true);
      seen.add(render.result);
    }
    expect(seen).toEqual(new Set([before, after]));
  });
});

test('severities that change places change the totals, though no host shows another number', () => {
  const rig = new Rig();
  const host = { hostId: rising(1), host: 'a', online: true };
  rig.fleet.upsert({ ...host, openAlerts: { critical: 1 } });
  rig.scrapeAndCheck();
  rig.fleet.upsert({ ...host, openAlerts: { warning: 1 } });
  rig.scrapeAndCheck();
});

test('a page whose block is used again for other hosts is not taken for the old one', () => {
  const rig = new Rig();
  for (const name of ['a', 'b']) {
    const hostId = name === 'a' ? rising(1) : `01K${'0'.repeat(23)}`;
    rig.fleet.upsert({ hostId, host: name, online: true });
    rig.scrapeAndCheck();
    rig.fleet.remove(hostId);
  }
});

test('a body that is held stays as it was while a fleet changes for ever', () => {
  const rig = new Rig();
  for (let n = 0; n < 3000; n++) {
    rig.fleet.upsert({ hostId: rising(n), host: `host-${n}`, online: true });
  }
  const first = [rig.scrape('identity'), rig.scrape('gzip')];
  for (let round = 1; round <= 30; round++) {
    for (let n = 0; n < 3000; n += 7) {
      rig.fleet.upsert({
        hostId: rising(n),
        host: `host-${n}`,
        online: true,
        snapshotCount: round,
      });
    }
    const renders = [rig.scrape('identity'), rig.scrape('gzip')];
    rig.check();
    for (const render of renders) rig.held.delete(render);
  }
  expect([...rig.held.keys()]).toEqual(first);
});

test('of a change of one host only the pieces that show it are made anew', () => {
  const rig = new Rig();
  for (let n = 0; n < 5000; n++) {
    rig.fleet.upsert({ hostId: rising(n), host: `host-${n}`, online: true });
  }
  const change = (snapshotCount: number) =>
    rig.fleet.upsert({ hostId: rising(2500), host: 'host-2500', online: true, snapshotCount });
  /** Of each piece in its order: where it is, and what is there. */
  const piecesOf = (render: number) => {
    const { layout } = rig.held.get(render) ?? {};
    if (layout === undefined) throw new Error(`render ${render} is not held`);
    const body = new BodyBytes(layout);
    return Array.from({ length: layout.places.length / WORDS_PER_PLACE }, (_, piece) => {
      const [segment = 0, offset] = layout.places.subarray(piece * WORDS_PER_PLACE);
      const text = body.piece(piece, 0, body.lengthOf(piece)).toString();
      return { segment: layout.segments[segment], offset, text };
    });
  };
  const anew = (encoding: Encoding) => {
    const before = piecesOf(rig.scrape(encoding));
    change(9);
    const after = piecesOf(rig.scrape(encoding));
    change(8);
    expect(after).toHaveLength(before.length);
    return after.filter(({ segment, offset }, at) => {
      const old = before[at];
      return old?.segment !== segment || old?.offset !== offset;
    });
  };
  const [text, run, end, ...more] = anew('identity').map((piece) => piece.text);
  // All text up to the rows of the first family over hosts: the CPU time that the process took is in it.
  expect(text).toMatch(/^process_cpu_seconds_total \d/m);
  expect(text?.endsWith('# TYPE rm_host_agent_online gauge\n')).toBe(true);
  expect(run).toContain(`rm_host_snapshot_count{host_id="${rising(2500)}",host="host-2500"} 9\n`);
  expect(run?.match(/^rm_host_snapshot_count\{.*\} \d+\n/gm)?.join('')).toBe(run);
  expect(run?.split('\n').length).toBeLessThanOrEqual(ROWS_A_RUN + 1);
  // All text about scrapes and the store, which a scrape changes.
  expect(end).toMatch(/^# HELP rm_scrape_duration_seconds /);
  expect(more).toEqual([]);
  // The same three, and the end of the gzip member.
  expect(anew('gzip')).toHaveLength(4);
});

/** Of hosts: 16 pages of 64. */
const ROWS_A_RUN = 16 * 64;

// Its block is another one then, and the number of pages is the same: that alone does not say which are in use.
test('the hosts of a page that emptied are not counted any more when a new page came first', () => {
  const rig = new Rig();
  const add = (n: number) => rig.fleet.upsert({ hostId: rising(n), host: 'x', online: true });
  for (let n = 0; n < PAGE_ROWS + 1; n++) add(n);
  rig.scrapeAndCheck();
  for (let n = PAGE_ROWS + 1; n < 2 * PAGE_ROWS + 1; n++) add(n);
  for (let n = 0; n < PAGE_ROWS; n++) rig.fleet.remove(rising(n));
  rig.scrapeAndCheck();
});

test('of a fleet that shrank no more is kept than of one that was never larger', () => {
  const [rig, small] = [new Rig(), new Rig()];
  const hosts = Array.from({ length: 40 * PAGE_ROWS }, (_, n) => rising(n));
  for (const hostId of hosts.slice(0, PAGE_ROWS))
    small.fleet.upsert({ hostId, host: 'x', online: true });
  small.scrapeAndCheck();
  for (const hostId of hosts) rig.fleet.upsert({ hostId, host: 'x', online: true });
  rig.scrapeAndCheck();
  for (const hostId of hosts.slice(PAGE_ROWS)) rig.fleet.remove(hostId);
  rig.scrapeAndCheck();
  for (const encoding of ['identity', 'gzip'] as const) {
    expect(rig.kept(encoding)).toBeLessThan(1.5 * small.kept(encoding));
  }
});

test.each(['identity', 'gzip'] as const)(
  'after a render that failed half-way, as much is kept as of a new body: %s',
  (encoding) => {
    const [rig, other] = [new Rig(), new Rig()];
    const fill = ({ fleet }: Rig, snapshotCount: number) => {
      for (let n = 0; n < 2 * PAGE_ROWS; n++) {
        fleet.upsert({ hostId: rising(n), host: `host-${n}`, online: true, snapshotCount });
      }
    };
    fill(rig, 1);
    rig.scrapeAndCheck();
    fill(rig, 2);
    // It has replaced the rows of hosts when it comes to the jobs.
    const broken = { ...NOTHING_ELSE, jobs: undefined as never };
    expect(() => rig.render(encoding, broken)).toThrow();
    rig.forget(encoding);
    fill(other, 2);
    rig.scrapeAndCheck();
    other.scrapeAndCheck();
    expect(Math.abs(rig.kept(encoding) - other.kept(encoding))).toBeLessThan(100);
  },
);

test('of what changes with every body, nothing is kept of those before', () => {
  const rig = new Rig();
  const render = () => {
    rig.writer.observeJob('backup', 'succeeded', 1_000);
    rig.scrapeAndCheck();
  };
  render();
  const kept = rig.kept('identity');
  for (let n = 0; n < 20; n++) render();
  expect(rig.kept('identity')).toBeLessThan(1.5 * kept);
});

test('a body in which only the text about the server changes does not grow, however often it is rendered', () => {
  const rig = new Rig();
  rig.fleet.upsert({ hostId: rising(1), host: 'web', online: true });
  for (const encoding of ['gzip', 'identity'] as const) {
    const sizes: number[] = [];
    for (let n = 0; n < 400; n++) {
      rig.held.clear();
      rig.scrape(encoding);
      if (n % 100 === 99) sizes.push(rig.kept(encoding));
    }
    expect(Math.max(...sizes) - Math.min(...sizes), encoding).toBeLessThan(100);
  }
});
