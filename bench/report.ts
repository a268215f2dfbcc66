import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { headlines } from './report/headlines.ts';
import { losses } from './report/losses.ts';
import { lines, measuredLines, pivotTables } from './report/markdown.ts';
import { dotPlot } from './report/plot.ts';
import type { ResultFile, Row } from './support/result.ts';

/*
 * Writes docs/benchmarks.md and its plots from bench/results/*.json. Every figure in them was
 * measured.
 */
const RESULTS = new URL('./results/', import.meta.url);
const DOCS = new URL('../docs/', import.meta.url);
const PAGE = new URL('benchmarks.md', DOCS);
const PLOTS = new URL('benchmarks/', DOCS);

const ORDER = ['observe', 'render', 'scrape', 'stall', 'ingest', 'reports', 'memory', 'postgres'];

/** The output of a command that passes or fails, rather than compares contestants. */
const JUDGED = [
  {
    name: 'soak',
    question: 'Does it hold out while agents come, go and report for half an hour?',
    command: 'npm run --silent soak -- --minutes 30 --agents 300 > bench/results/soak.txt',
  },
  {
    name: 'storm',
    question: 'What happens when 15,000 agents connect at once?',
    command:
      'for threads in 1 3; do npm run --silent storm -- --threads $threads; done > bench/results/storm.txt',
  },
] as const;

/** The rows of each bench that are plotted: those that answer its question most directly. */
const PLOTTED: Readonly<Record<string, (row: Row) => boolean>> = {
  observe: () => true,
  render: ({ scenario }) => scenario.encoding === 'gzip',
  scrape: ({ scenario }) => scenario.encoding === 'gzip',
  stall: ({ measure }) => measure === 'turn of the loop, longest',
  ingest: ({ measure }) => measure === 'finished jobs a second',
  reports: ({ measure }) => measure === 'finished jobs a second',
  memory: ({ measure }) => measure === 'resident memory',
  postgres: ({ measure }) => measure === 'finished jobs a second',
};

const results = readdirSync(RESULTS)
  .filter((name) => name.endsWith('.json'))
  .map((name): ResultFile => JSON.parse(readFileSync(new URL(name, RESULTS), 'utf8')))
  .sort((a, b) => ORDER.indexOf(a.bench) - ORDER.indexOf(b.bench));
const quick = results.find((result) => result.quick);
if (results.length === 0 || quick !== undefined) {
  console.error(
    quick === undefined
      ? 'no results: run `npm run bench -- --json bench/results` first'
      : `bench/results/${quick.bench}.json is of a --quick run, whose figures are not to be quoted`,
  );
  process.exit(1);
}

mkdirSync(PLOTS, { recursive: true });
writeFileSync(PAGE, `${page(results).join('\n')}\n`);
console.log(`wrote ${fileURLToPath(PAGE)}`);

function page(results: readonly ResultFile[]): string[] {
  return [
    '# Benchmarks',
    '',
    '<!-- Written by `npm run bench:report` from bench/results/*.json. Do not edit. -->',
    '',
    'Every question is asked of this package, of its peers, and of its floor: what nothing could be faster than. All contestants of a table ran in turn, in one run, showing the same samples, which was checked before. A cell is the median, the middle half of the samples in brackets, the 99th percentile where there are a hundred samples or more, and how many times the floor it is (the median of the ratios within each round). Trust the ratios more than the figures.',
    '',
    ...results.map(({ bench, question }) => `- [${question}](#${bench})`),
    ...JUDGED.map(({ name, question }) => `- [${question}](#${name})`),
    '- [What we lose at](#what-we-lose-at)',
    '',
    'In short, medians:',
    '',
    ...headlines(results),
    ...results.flatMap(section),
    ...JUDGED.flatMap(judgedSection),
    '',
    '## What we lose at',
    '',
    'Wherever a peer has the better median:',
    '',
    ...losses(results),
    '',
    '## Doing it again',
    '',
    '```sh',
    'npm run bench -- --json bench/results   # all, half an hour',
    'npm run bench -- scrape --hosts 1000    # one',
    ...JUDGED.map(({ command }) => command),
    'npm run bench:report                    # this page',
    'npm run bench:compare -- main scrape    # against another revision',
    '```',
  ];
}

function section(result: ResultFile): string[] {
  const { bench, question, rows, notes } = result;
  return [
    '',
    `## ${bench}`,
    '',
    `**${question}**`,
    '',
    ...plots(result),
    ...pivotTables(rows),
    '',
    ...lines(notes.map((note) => `- ${note}`)),
    ...measuredLines(result),
  ];
}

/** A section with the output of a command, without its progress lines. */
function judgedSection({ name, question }: (typeof JUDGED)[number]): string[] {
  const printed = readFileSync(new URL(`${name}.txt`, RESULTS), 'utf8');
  const lines = printed.split('\n').filter((line) => !/^ *\d+ s {2}/.test(line));
  return ['', `## ${name}`, '', `**${question}**`, '', '```text', lines.join('\n').trim(), '```'];
}

function plots({ bench, question, rows }: ResultFile): string[] {
  const plotted = rows.filter(PLOTTED[bench] ?? (() => true));
  for (const theme of ['light', 'dark'] as const) {
    writeFileSync(new URL(`${bench}-${theme}.svg`, PLOTS), dotPlot(plotted, theme));
  }
  return [
    '<picture>',
    `  <source media="(prefers-color-scheme: dark)" srcset="benchmarks/${bench}-dark.svg">`,
    `  <img src="benchmarks/${bench}-light.svg" alt="${question} The figures are in the table below.">`,
    '</picture>',
    '',
  ];
}
