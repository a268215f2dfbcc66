import { figure } from '../support/table.ts';
import { countsOf, sum } from './ledger.ts';
import type { Outcome, Progress } from './run.ts';
import { memoryOf, mib, scrapeP99 } from './verdict.ts';

/** `60 s  298 agents  88,412 finishes  1,500/s  RSS 161.2 MiB  scrape p99 21.3 ms` */
export function progressLine(progress: Progress): string {
  const { seconds, online, acknowledged, rate, residentBytes, scrapeMs } = progress;
  return [
    `${Math.round(seconds)} s`.padStart(6),
    `${online} agents`,
    `${acknowledged.toLocaleString('en')} finishes`,
    `${figure(rate)}/s`,
    `RSS ${mib(residentBytes)}`,
    `scrape p99 ${figure(scrapeP99(scrapeMs))} ms`,
  ].join('  ');
}

/** The figures of a complete soak. */
export function summary(outcome: Outcome): string {
  const { seconds, memory, acknowledged, shown, onDisk, scrapeMs, exit } = outcome;
  const finishes = sum(countsOf(acknowledged));
  const stored = [...onDisk.values()].flat().length;
  const { early, late } = memoryOf(memory, seconds);
  const sorted = [...scrapeMs].sort((a, b) => a - b);
  const rows = [
    ['time', `${figure(seconds)} s`],
    ['finishes acknowledged', `${finishes.toLocaleString('en')}, ${figure(finishes / seconds)}/s`],
    ['counted by the histogram', sum(shown).toLocaleString('en')],
    ['on disk, of hosts that there are', stored.toLocaleString('en')],
    ['hosts added, removed', `${outcome.hostsAdded}, ${outcome.hostsRemoved}`],
    ['memory, second fifth', mib(early)],
    ['memory, last fifth', mib(late)],
    ['scrapes', String(scrapeMs.length)],
    ['scrape p50', `${figure(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)} ms`],
    ['scrape p99', `${figure(scrapeP99(scrapeMs))} ms`],
    ['scrape longest', `${figure(sorted.at(-1) ?? Number.NaN)} ms`],
    ['end', `${exit.by} after ${figure(exit.ms)} ms`],
  ] as const;
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}
