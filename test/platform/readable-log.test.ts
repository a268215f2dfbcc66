import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readableLine } from '../../src/platform/readable-log.ts';

/** Without colours. */
function plain(line: string): string {
  return stripVTControlCharacters(readableLine(line));
}

const at = new Date(2026, 0, 2, 3, 4, 5).toISOString();

test('a line has the time of day, the level, the message and the fields', () => {
  const line = JSON.stringify({
    level: 'warn',
    time: at,
    event: 'scrape_refused',
    suppressed: 3,
    client: 'two words',
    needs_restart: ['listen'],
    msg: 'scrape refused',
  });
  expect(plain(line)).toBe(
    '03:04:05 WARN  scrape refused  event=scrape_refused suppressed=3 client="two words" needs_restart=["listen"]\n',
  );
});

test.each([
  ['Asia/Kolkata', '08:34:05'],
  ['America/New_York', '22:04:05'],
])('the time is that of the time zone: %s', (zone, shown) => {
  vi.stubEnv('TZ', zone);
  onTestFinished(() => void vi.unstubAllEnvs());
  const line = JSON.stringify({ level: 'info', time: '2026-01-02T03:04:05Z', msg: 'x' });
  expect(plain(line)).toBe(`${shown} INFO  x\n`);
});

test('a value that could be taken for two fields is quoted', () => {
  const line = JSON.stringify({ level: 'info', time: at, host: 'web', file: 'a=b', msg: 'x' });
  expect(plain(line)).toBe('03:04:05 INFO  x  host=web file="a=b"\n');
});

test.each([
  ['1', false],
  ['', true],
])('with NO_COLOR=%j a line has colours: %s', (value, isColoured) => {
  vi.stubEnv('NO_COLOR', value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const line = readableLine(JSON.stringify({ level: 'warn', time: at, msg: 'x' }));
  expect(line.includes('\u001b[33mWARN')).toBe(isColoured);
});

test('an error is followed by its stack', () => {
  const err = { type: 'Error', message: 'gone', stack: 'Error: gone\n    at somewhere' };
  expect(plain(JSON.stringify({ level: 'fatal', time: at, err, msg: 'exiting' }))).toBe(
    '03:04:05 FATAL exiting\n    Error: gone\n        at somewhere\n',
  );
});

test('an error may be anything', () => {
  expect(plain(JSON.stringify({ level: 'error', time: at, err: null, msg: 'x' }))).toBe(
    '03:04:05 ERROR x\n',
  );
  for (const err of ['gone', { message: 'gone' }, 7]) {
    expect(() =>
      readableLine(JSON.stringify({ level: 'error', time: at, err, msg: 'x' })),
    ).not.toThrow();
  }
  expect(plain(JSON.stringify({ level: 'error', time: at, err: 'gone', msg: 'x' }))).toContain(
    '\n    gone\n',
  );
});

test('what a stranger sends cannot command the terminal', () => {
  const hostile = '\u001b[2J\u009b31m\u0007\u202edlrow\u2066\u2028\u{e0001}\r\n';
  const line = JSON.stringify({
    level: 'warn',
    time: at,
    host: hostile,
    why: [hostile],
    err: { stack: hostile },
    msg: hostile,
  });
  const shown = plain(line);
  expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{C}\u2028]/u);
  expect(shown).toContain('\\u001b[2J\\u009b31m');
});
