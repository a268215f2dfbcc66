import { expect, test } from 'vitest';
import { MAX_AGENT_THREADS } from '../../src/config/settings.ts';
import {
  API_CODES,
  API_REFUSALS,
  CELL,
  DURATION_BOUNDS_SECONDS,
  DURATION_SUM,
  MESSAGE_TYPES,
  REFUSALS,
  REPORT_CODES,
  SCRAPE_CODES,
  ServerStats,
  STATS_CELLS,
  type StatsWriter,
} from '../../src/shared/server-stats.ts';

test('every thread can count with as many agent loops as the settings allow', () => {
  const stats = ServerStats.create();
  // Each loop, the main thread and the store thread.
  const threads = MAX_AGENT_THREADS + 2;
  const writers = Array.from({ length: threads }, () => stats.writer());
  for (const writer of writers) writer.connection(1);
  const cells = new Float64Array(STATS_CELLS);
  stats.read(cells);
  expect(cells[CELL.connections]).toBe(threads);
});

test('a duration that equals the bound of a bucket is in that bucket', () => {
  const stats = ServerStats.create();
  const writer = stats.writer();
  for (const seconds of DURATION_BOUNDS_SECONDS) writer.commitDuration(seconds * 1_000);
  writer.commitDuration(5_001);
  const cells = new Float64Array(STATS_CELLS);
  stats.read(cells);
  const first = CELL.commitDuration;
  const buckets = cells.slice(first, first + DURATION_BOUNDS_SECONDS.length + 1);
  expect([...buckets]).toEqual(Array(DURATION_BOUNDS_SECONDS.length + 1).fill(1));
});

/** What a thread counts, and the cells that change then, with their values. */
const COUNTED: [name: string, count: (writer: StatsWriter) => void, cells: [number, number][]][] = [
  ['a connection', (writer) => writer.connection(1), [[CELL.connections, 1]]],
  ['the end of a connection', (writer) => writer.connection(-1), [[CELL.connections, -1]]],
  ...MESSAGE_TYPES.map((type, at): (typeof COUNTED)[number] => [
    `a message ${type}`,
    (writer) => writer.message(type),
    [[CELL.messages + at, 1]],
  ]),
  ...REFUSALS.map((reason, at): (typeof COUNTED)[number] => [
    `a refusal ${reason}`,
    (writer) => writer.refusal(reason),
    [[CELL.refusals + at, 1]],
  ]),
  ...REPORT_CODES.map((code, at): (typeof COUNTED)[number] => [
    `a report with ${code}`,
    (writer) => writer.report(code),
    [[CELL.reports + at, 1]],
  ]),
  ...SCRAPE_CODES.map((code, at): (typeof COUNTED)[number] => [
    `a scrape with ${code}`,
    (writer) => writer.scrape(code),
    [[CELL.scrapes + at, 1]],
  ]),
  ...API_CODES.map((code, at): (typeof COUNTED)[number] => [
    `a request of the API with ${code}`,
    (writer) => writer.apiRequest(code),
    [[CELL.apiRequests + at, 1]],
  ]),
  ...API_REFUSALS.map((reason, at): (typeof COUNTED)[number] => [
    `a refusal ${reason} of the API`,
    (writer) => writer.apiRefusal(reason),
    [[CELL.apiRefusals + at, 1]],
  ]),
  [
    'the duration of a request of the API, in seconds',
    (writer) => writer.apiDuration(2_500),
    [
      [CELL.apiDuration + DURATION_BOUNDS_SECONDS.indexOf(5), 1],
      [CELL.apiDuration + DURATION_SUM, 2.5],
    ],
  ],
  [
    'the duration of a scrape, in seconds',
    (writer) => writer.scrapeDuration(2_500),
    [
      [CELL.scrapeDuration + DURATION_BOUNDS_SECONDS.indexOf(5), 1],
      [CELL.scrapeDuration + DURATION_SUM, 2.5],
    ],
  ],
  [
    'the duration of a commit, in seconds',
    (writer) => writer.commitDuration(2_500),
    [
      [CELL.commitDuration + DURATION_BOUNDS_SECONDS.indexOf(5), 1],
      [CELL.commitDuration + DURATION_SUM, 2.5],
    ],
  ],
  ['a failure of the store', (writer) => writer.storeFailure(), [[CELL.storeFailures, 1]]],
  ['forgotten jobs', (writer) => writer.forgottenJobs(7), [[CELL.forgottenJobs, 7]]],
  ['a scrape that is cut off', (writer) => writer.scrapeCutOff(), [[CELL.scrapesCutOff, 1]]],
  ['submitted operations', (writer) => writer.submitted(7), [[CELL.submitted, 7]]],
  ['answered operations', (writer) => writer.answered(7), [[CELL.answered, 7]]],
  [
    'the health of the loop',
    (writer) => writer.loopHealth({ lagSeconds: 1, lagP99Seconds: 2, heapUsedBytes: 3 }),
    [
      [CELL.loopLagSeconds, 1],
      [CELL.loopLagP99Seconds, 2],
      [CELL.heapUsedBytes, 3],
    ],
  ],
];

test.each(COUNTED)('%s is counted in its own cell and in no other', (_, count, changed) => {
  const stats = ServerStats.create();
  stats.writer();
  count(stats.writer());
  // What an earlier reading has left must not be added.
  const cells = new Float64Array(STATS_CELLS).fill(99);
  stats.read(cells);
  const found = [...cells.entries()].filter(([, value]) => value !== 0);
  expect(found).toEqual(changed);
});
