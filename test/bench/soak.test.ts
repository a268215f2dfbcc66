import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { type Finishes, noCounts } from '../../bench/soak/ledger.ts';
import { type Findings, verdict } from '../../bench/soak/verdict.ts';
import { seriesIndex } from '../../src/contract/jobs.ts';

const SOAK = fileURLToPath(new URL('../../bench/soak.ts', import.meta.url));
const MIB = 2 ** 20;
const BACKUP_OK = seriesIndex('backup', 'succeeded');
const PRUNE_FAILED = seriesIndex('prune', 'failed');

it('a short soak passes', { timeout: 180_000 }, async () => {
  // How fast scrapes are says nothing while other tests take the cores.
  const { code, stdout, stderr } = await run(
    ...['--minutes', '0.2', '--agents', '20', '--rate', '500', '--scrape-limit', '60000'],
  );
  expect(stdout).toMatch(/^ *\d+ s {2}\d+ agents {2}[\d,]+ finishes .* RSS [\d.]+ MiB/m);
  expect(stdout).toMatch(/\nPASS\n$/);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

it.each([
  ['--bogus', ['--bogus']],
  ['--minutes', ['--minutes', 'x']],
  ['--minutes', ['--minutes', '0']],
  ['--agents', ['--agents', '1.5']],
  ['--threads', ['--threads', '65']],
  // The server would forget jobs, by its rules.
  ['--rate', ['--minutes', '30', '--agents', '1']],
])('%s is refused with the usage: %s', async (flag, args) => {
  const { code, stdout, stderr } = await run(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  const [reason, ...usage] = stderr.split('\n');
  expect(reason).toContain(flag);
  expect(usage).toContainEqual(expect.stringMatching(/^npm run soak -- \[--minutes N\]/));
});

/** A minute of one host, with two finishes; another host was removed, and had one. */
const good: Findings = {
  seconds: 60,
  memory: memory(200, 200),
  acknowledged: {
    hosts: new Map([['a', [BACKUP_OK, undefined, PRUNE_FAILED]]]),
    removed: counts({ [BACKUP_OK]: 1 }),
  },
  unanswered: 0,
  shown: counts({ [BACKUP_OK]: 2, [PRUNE_FAILED]: 1 }),
  onDisk: onDisk(BACKUP_OK, undefined, PRUNE_FAILED),
  scrapeMs: [10, 20, 30],
  scrapeLimitMs: 1_000,
  stderr: [
    '{"level":"info","time":1,"msg":"shutting down"}',
    '{"level":"warn","time":1,"msg":"a warning"}',
  ],
  exit: { by: 0, ms: 300 },
  faults: [],
};

it('good figures pass', () => {
  expect(verdict(good)).toEqual([]);
});

it.each<[hazard: string, found: Partial<Findings>]>([
  ['a tenth of a large memory', { memory: memory(200, 219) }],
  ['16 MiB of a small memory', { memory: memory(50, 66) }],
  ['what the first fifth took', { memory: [{ seconds: 1, bytes: MIB }, ...memory(200, 200)] }],
])('memory may grow by %s', (_, found) => {
  expect(verdict({ ...good, ...found })).toEqual([]);
});

it.each<[hazard: string, found: Partial<Findings>, reasons: readonly string[]]>([
  [
    'memory that grows',
    { memory: memory(200, 221) },
    ['memory grew from 200.0 MiB to 221.0 MiB, by more than 20.0 MiB'],
  ],
  [
    'memory that nobody looked at in the end',
    { memory: memory(200, 200).slice(0, 40) },
    ['memory was not sampled often enough'],
  ],
  [
    'a finish that is lost on disk',
    { onDisk: onDisk(BACKUP_OK) },
    ['1 acknowledged finishes are not on disk'],
  ],
  [
    'a finish that a repeated one has changed',
    { onDisk: onDisk(BACKUP_OK, undefined, BACKUP_OK) },
    ['1 finishes are on disk with another kind or status'],
  ],
  [
    'a finish that is stored without an acknowledgement',
    { onDisk: onDisk(BACKUP_OK, BACKUP_OK, PRUNE_FAILED) },
    ['1 finishes are on disk but were never acknowledged'],
  ],
  [
    'a host that is lost',
    { onDisk: new Map() },
    ['host a is not on disk', '2 acknowledged finishes are not on disk'],
  ],
  [
    'a host that is still there',
    { onDisk: new Map([...good.onDisk, ['b', []]]) },
    ['host b was removed but is still on disk'],
  ],
  [
    'a finish that counts twice',
    { shown: counts({ [BACKUP_OK]: 3, [PRUNE_FAILED]: 1 }) },
    [
      'the histogram counts 4 finishes, but 3 were acknowledged',
      'backup succeeded: the histogram counts 3 of 2 acknowledged',
    ],
  ],
  [
    'a finish that counts in another series',
    { shown: counts({ [BACKUP_OK]: 3 }) },
    [
      'backup succeeded: the histogram counts 3 of 2 acknowledged',
      'prune failed: the histogram counts 0 of 1 acknowledged',
    ],
  ],
  [
    'what is never acknowledged',
    { unanswered: 2 },
    ['2 messages were not acknowledged at the end'],
  ],
  [
    'slow scrapes',
    { scrapeMs: [10, 20, 1_500] },
    ['the 99th percentile of scrapes is 1470 ms, not below 1000 ms'],
  ],
  ['no scrape', { scrapeMs: [] }, ['no scrape succeeded']],
  [
    'what Node writes to standard error',
    { stderr: ['(node:7) Warning: a leak'] },
    ['standard error: (node:7) Warning: a leak'],
  ],
  ['JSON that is no log line', { stderr: ['null'] }, ['standard error: null']],
  [
    'an error in the log',
    { stderr: ['{"level":"error","msg":"reload failed, nothing changed"}'] },
    ['standard error: {"level":"error","msg":"reload failed, nothing changed"}'],
  ],
  [
    'an end with another code',
    { exit: { by: 1, ms: 300 } },
    ['SIGTERM ended the server with 1 after 300 ms'],
  ],
  [
    'an end that takes too long',
    { exit: { by: 0, ms: 10_001 } },
    ['SIGTERM ended the server with 0 after 10001 ms'],
  ],
  ['what went wrong meanwhile', { faults: ['hosts add ended with 1'] }, ['hosts add ended with 1']],
])('%s fails', (_, found, reasons) => {
  expect(verdict({ ...good, ...found })).toEqual(reasons);
});

/** A sample a second, in MiB: `late` from half-way on. */
function memory(early: number, late: number) {
  return Array.from({ length: 60 }, (_, seconds) => ({
    seconds,
    bytes: (seconds < 30 ? early : late) * MIB,
  }));
}

function counts(bySeries: Readonly<Record<number, number>>): number[] {
  return Object.assign(noCounts(), bySeries);
}

function onDisk(...series: Finishes): Findings['onDisk'] {
  return new Map([['a', series]]);
}

async function run(...args: readonly string[]) {
  const child = spawn(process.execPath, [SOAK, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  // It ends the server, and deletes what it wrote.
  onTestFinished(() => void child.kill('SIGTERM'));
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code, stdout, stderr };
}
