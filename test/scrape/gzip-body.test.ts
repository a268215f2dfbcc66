import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type ExpositionInput,
  expositionBound,
  writeExposition,
} from '../../src/metrics/exposition.ts';
import { FleetReader } from '../../src/metrics/fleet-reader.ts';
import { FleetTable } from '../../src/metrics/fleet-table.ts';
import { REPO_STATUSES } from '../../src/metrics/host.ts';
import { JobHistogram } from '../../src/metrics/job-histogram.ts';
import { JOB_KINDS, JOB_STATUSES } from '../../src/metrics/jobs.ts';
import { GzipBody } from '../../src/scrape/gzip-body.ts';

function identityOf(input: ExpositionInput): string {
  const target = Buffer.alloc(expositionBound(input));
  return target.toString('utf8', 0, writeExposition(input, target));
}

function gzipOf(body: GzipBody, input: ExpositionInput): string {
  const composed = body.compose(input);
  const target = Buffer.alloc(composed.byteLength);
  composed.writeTo(target);
  return gunzipSync(target).toString();
}

/** Spread over the whole range, so that pages split and empty in every place. */
const hostId = (n: number) => `01J${String((n * 7919) % 1000).padStart(23, '0')}`;

const host = fc.nat({ max: 150 });
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      upsert: host,
      // Mostly no rename, so that a page often changes in nothing but its numbers.
      rename: fc.option(fc.constantFrom('db "2"', 'größe\\', 'a\nb', 'x'.repeat(255)), {
        nil: undefined,
        freq: 6,
      }),
      online: fc.boolean(),
      snapshotCount: fc.nat({ max: 3 }),
      finishedAtMs: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
      repoSizeBytes: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
      repoStatus: fc.constantFrom(...REPO_STATUSES),
    }),
  },
  { weight: 2, arbitrary: fc.record({ remove: host }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom(...JOB_KINDS),
      status: fc.constantFrom(...JOB_STATUSES),
      ms: fc.nat(),
    }),
  },
  { weight: 2, arbitrary: fc.constant('scrape' as const) },
);

test('after any changes, unpacking gives the identity body to the byte: nothing stale, nothing missed', () => {
  fc.assert(
    fc.property(fc.nat({ max: 300 }), fc.array(change, { maxLength: 120 }), (filled, changes) => {
      const fleet = new FleetTable();
      const jobs = JobHistogram.create();
      const writer = jobs.writer();
      const build = { version: '1', commit: 'c', nodeVersion: 'v22' };
      const body = new GzipBody();
      const kept = new FleetReader(fleet.buffer);
      const check = () => {
        // A reader that has never read before cannot have kept anything stale.
        const fresh = new FleetReader(fleet.buffer).read();
        const jobsNow = jobs.read();
        const shown = gzipOf(body, { pages: kept.read(), jobs: jobsNow, build });
        expect(shown).toBe(identityOf({ pages: fresh, jobs: jobsNow, build }));
      };
      for (let n = 0; n < filled; n++) {
        fleet.upsert({ hostId: hostId(n), host: `host-${n}`, online: true });
      }
      for (const step of changes) {
        if (step === 'scrape') check();
        else if ('remove' in step) fleet.remove(hostId(step.remove));
        else if ('kind' in step) writer.observeJob(step.kind, step.status, step.ms);
        else {
          const { upsert, rename, finishedAtMs, repoSizeBytes, ...rest } = step;
          fleet.upsert({
            hostId: hostId(upsert),
            host: rename ?? `host-${upsert}`,
            ...rest,
            ...(finishedAtMs !== undefined && { lastBackup: { finishedAtMs, succeeded: true } }),
            ...(repoSizeBytes !== undefined && { repoSizeBytes }),
          });
        }
      }
      check();
    }),
    { numRuns: 150 },
  );
});

test('from none to thousands of hosts and back', () => {
  const fleet = new FleetTable();
  const reader = new FleetReader(fleet.buffer);
  const jobs = JobHistogram.create();
  const body = new GzipBody();
  const build = { version: '1', commit: 'c', nodeVersion: 'v22' };
  for (const hosts of [0, 3000, 10, 2000, 0]) {
    for (let n = 0; n < 3000; n++) {
      const id = `01J${String(n).padStart(23, '0')}`;
      if (n < hosts) fleet.upsert({ hostId: id, host: `host-${n}`, online: n % 2 === 0 });
      else fleet.remove(id);
    }
    const input = { pages: reader.read(), jobs: jobs.read(), build };
    expect(gzipOf(body, input)).toBe(identityOf(input));
  }
});

test('a page whose block is used again for other hosts is not taken for the old one', () => {
  const fleet = new FleetTable();
  const reader = new FleetReader(fleet.buffer);
  const jobs = JobHistogram.create();
  const body = new GzipBody();
  const build = { version: '1', commit: 'c', nodeVersion: 'v22' };
  for (const name of ['a', 'b']) {
    const id = name === 'a' ? `01J${'0'.repeat(23)}` : `01K${'0'.repeat(23)}`;
    fleet.upsert({ hostId: id, host: name, online: true });
    const input = { pages: reader.read(), jobs: jobs.read(), build };
    expect(gzipOf(body, input)).toBe(identityOf(input));
    fleet.remove(id);
  }
});
