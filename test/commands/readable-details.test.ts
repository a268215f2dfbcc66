import { expect, it } from 'vitest';
import { jsonForTerminal, readableDetails } from '../../src/commands/readable-details.ts';
import { detailsJson } from '../../src/contract/host-details.ts';
import { RUNNING, UNKNOWN } from '../support/unknown-host.ts';

it.each([
  [0, '0s'],
  [1_234, '1.234s'],
  [59_999, '59.999s'],
  [60_000, '1m 0s'],
  [3_599_999, '59m 59s'],
  [3_600_000, '1h 0m 0s'],
  [7_503_000, '2h 5m 3s'],
  [90_061_000, '25h 1m 1s'],
])('a job of %i ms took %s', (ms, shown) => {
  const job = { ...RUNNING, status: 'succeeded', finishedAtMs: ms, exitCode: 0 } as const;
  const json = detailsJson({ ...UNKNOWN, jobs: [job] });
  const line = readableDetails(json).split('\n').at(-1);
  expect(line?.split(/ {2,}/)).toEqual([
    '1970-01-01T00:00:00.000Z',
    new Date(ms).toISOString(),
    shown,
    'backup',
    'succeeded',
    '0',
    'a',
  ]);
});

const readable = (details: object) => readableDetails(detailsJson({ ...UNKNOWN, ...details }));

it('a host of which nothing is known is shown with words for that', () => {
  expect(readable({}).split('\n')).toEqual([
    'Host          web',
    'Host id       ID',
    'State         ok',
    'Status        online',
    'Agent         version unknown, restic unknown',
    'Last backup   never',
    'Last success  never',
    'Repository    size unknown, unknown snapshots',
    'Alerts        none',
    '',
    'No jobs.',
  ]);
});

it('a host is shown with all that is known, and nothing that a terminal would execute', () => {
  const finish = { status: 'failed', finishedAtMs: 1_500, exitCode: 3 } as const;
  const shown = readable({
    host: 'web\u001b[2J',
    state: 'failed',
    lastBackup: { finishedAtMs: 1_500, succeeded: false },
    lastSuccessMs: 0,
    repoSizeBytes: 0,
    snapshotCount: 0,
    agentVersion: '1\u009b',
    resticVersion: '0.18',
    arch: 'arm64',
    alerts: [
      { kind: 'backup_failed', openedAtMs: 1_500 },
      { kind: 'check_failed', openedAtMs: 2_000 },
    ],
    jobs: [
      { ...RUNNING, jobId: 'b\u202e', startedAtMs: 2_000 },
      { ...RUNNING, ...finish, filesUnreadable: 2, error: 'one\r\n\u001b[2Jtwo\n\n' },
    ],
  });
  expect(shown.split('\n')).toEqual([
    'Host          web\\u001b[2J',
    'Host id       ID',
    'State         failed',
    'Status        online',
    'Agent         version 1\\u009b, restic 0.18, arm64',
    'Last backup   1970-01-01T00:00:01.500Z FAILED',
    'Last success  1970-01-01T00:00:00.000Z',
    'Repository    0 bytes, 0 snapshots',
    'Alerts        backup_failed (warning) since 1970-01-01T00:00:01.500Z',
    '              check_failed (critical) since 1970-01-01T00:00:02.000Z',
    '',
    'Last 2 jobs, newest first:',
    expect.stringMatching(/^STARTED +FINISHED +DURATION +KIND +STATUS +EXIT CODE +JOB ID$/),
    '1970-01-01T00:00:02.000Z  -                         -         backup  running  -          b\\u202e',
    '1970-01-01T00:00:00.000Z  1970-01-01T00:00:01.500Z  1.5s      backup  failed   3          a',
    '    files that could not be read: 2',
    '    one',
    '    \\u001b[2Jtwo',
  ]);
  expect(readable({ lastBackup: { finishedAtMs: 0, succeeded: true } })).toContain(
    '\nLast backup   1970-01-01T00:00:00.000Z ok\n',
  );
  expect(readable({ jobs: [RUNNING] })).toContain('\nLast job, newest first:\n');
});

it('JSON for a terminal is what it was before, without a character that a terminal would execute', () => {
  const value = { text: '\u001b\u007f\u009b\u00ad\u200b\u202e\u2028\ufeff\u{e0001} é 🦀 "\\\n' };
  const shown = jsonForTerminal(value);
  expect(JSON.parse(shown)).toEqual(value);
  expect(shown).toMatch(/^[\n -~é🦀]*$/u);
  expect(shown.split('\n')).toHaveLength(3);
});
