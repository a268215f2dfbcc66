import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import { expect, onTestFinished, test, vi } from 'vitest';
import { progressLine, showProgress } from '../../src/demo/progress.ts';

const progress = {
  agents: 99,
  connected: 97,
  jobsFinished: 1_234,
  jobsFailed: 56,
  lastScrape: { agoMs: 3_400, bytes: 86_901 },
};

test('an 80-column terminal shows all of it', () => {
  expect(progressLine(progress, 80)).toBe(
    '97/99 agents | 1234 jobs finished, 56 failed | last scrape 3 s ago, 87 kB',
  );
  expect(progressLine({ ...progress, lastScrape: undefined }, 80)).toBe(
    '97/99 agents | 1234 jobs finished, 56 failed | last scrape: none yet',
  );
});

test.each([
  [59_999, '59 s ago'],
  [60_000, '1 min ago'],
  [3_599_999, '59 min ago'],
  [3_600_000, '1 h ago'],
  [7_300_000, '2 h ago'],
])('%d ms without a scrape are %s', (agoMs, shown) => {
  const lastScrape = { agoMs, bytes: 71_400_000 };
  expect(progressLine({ ...progress, lastScrape }, 200)).toContain(`${shown}, 71.4 MB`);
});

test('the line is shorter than any terminal is wide, so it never wraps', () => {
  const large = { ...progress, agents: 17_999, connected: 17_998, jobsFinished: 12_345_678 };
  for (let columns = 1; columns < 200; columns++) {
    for (const shown of [progress, large]) {
      expect(progressLine(shown, columns).length).toBeLessThan(columns);
    }
  }
});

test('a terminal that was not told its size gets the whole line', () => {
  let shown = '';
  const out = new Writable({
    write(chunk, _, done) {
      shown += chunk;
      done();
    },
  });
  const terminal = Object.assign(out, { isTTY: true, columns: 0 }) as unknown as NodeJS.WriteStream;
  showProgress(terminal, () => progress)();
  expect(shown).toContain(progressLine(progress, 80));
});

test('what is no terminal gets a line every ten seconds, until it is stopped', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const lines: string[] = [];
  const log = { isTTY: false, write: (line: string) => lines.push(line) };
  const stop = showProgress(log as unknown as NodeJS.WriteStream, () => progress);
  vi.advanceTimersByTime(20_000);
  expect(lines).toEqual(Array(2).fill(`${progressLine(progress, 80)}\n`));
  stop();
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(2);
});

test('a terminal gets the line anew each second and when its size changes, until it is stopped', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const shown: string[] = [];
  const write = (text: string) => shown.push(text);
  const terminal = Object.assign(new EventEmitter(), { isTTY: true, columns: 80, write });
  const stop = showProgress(terminal as unknown as NodeJS.WriteStream, () => progress);
  vi.advanceTimersByTime(2_000);
  terminal.columns = 30;
  terminal.emit('resize');
  const wide = `\r${progressLine(progress, 80)}\x1b[K`;
  expect(shown).toEqual([wide, wide, wide, `\r${progressLine(progress, 30)}\x1b[K`]);
  stop();
  vi.advanceTimersByTime(60_000);
  terminal.emit('resize');
  expect(shown.slice(4)).toEqual(['\n']);
});
