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
/** Contains the output of `npm run simulation` between two marks. */
const SCALING = new URL('scaling.md', DOCS);
const SIMULATION = /(<!-- Written by `npm run bench:report`.*?-->\n).*?(\n<!-- end -->)/s;
const PLOTS = new URL('benchmarks/', DOCS);

const ORDER = [
  'observe',
  'render',
  'scrape',
  'stall',
  'ingest',
  'reports',
  'memory',
  'disk',
  'postgres',
  'api',
  'page',
];

/** The output of a command that passes or fails, rather than compares contestants. */
const JUDGED = [
  {
    name: 'soak',
    question: 'Is the server stable while agents connect, report and disconnect for half an hour?',
    command: 'npm run --silent soak -- --minutes 30 --agents 300 > bench/results/soak.txt',
  },
  {
    name: 'storm',
    question: 'What happens when 15,000 agents connect at once?',
    command:
      'for threads in 1 3; do npm run --silent storm -- --threads $threads; done > bench/results/storm.txt',
  },
  {
    name: 'instances',
    question: 'What do three instances on one PostgreSQL do with 30,000 agents?',
    command: 'npm run --silent instances > bench/results/instances.txt',
  },
  {
    name: 'failover',
    question: 'What happens when the primary of PostgreSQL fails?',
    command: 'npm run --silent failover > bench/results/failover.txt',
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
  page: ({ measure }) => measure === 'time to the first host on the status page',
  api: ({ measure }) => measure === 'first page of GET /api/hosts',
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
      : `bench/results/${quick.bench}.json is from a --quick run; do not publish its figures`,
  );
  process.exit(1);
}

mkdirSync(PLOTS, { recursive: true });
writeFileSync(PAGE, `${page(results).join('\n')}\n`);
const estimates = readFileSync(new URL('simulation.md', RESULTS), 'utf8').trim();
const scaling = readFileSync(SCALING, 'utf8');
writeFileSync(
  SCALING,
  scaling.replace(SIMULATION, (_, begin, end) => `${begin}\n${estimates}\n${end}`),
);
for (const written of [PAGE, SCALING]) console.log(`wrote ${fileURLToPath(written)}`);

function page(results: readonly ResultFile[]): string[] {
  return [
    '# Benchmarks',
    '',
    '<!-- Written by `npm run bench:report` from bench/results/*.json. Do not edit. -->',
    '',
    'Each benchmark compares this package with its peers and with a floor: the simplest program for the task, such as one that only copies or sends the same bytes. All contestants in a table ran in turn, in one run, and show the same samples. The benchmark checks that first. A cell contains:',
    '',
    '- the median',
    '- in brackets, the middle half of the samples',
    '- the 99th percentile, if there are at least a hundred samples',
    '- the ratio to the floor (×), which is the median of the ratios of all rounds; below 1, this package avoids work that the floor does',
    '',
    'Trust the ratios more than the absolute figures.',
    '',
    ...results.map(({ bench, question }) => `- [${question}](#${bench})`),
    ...JUDGED.map(({ name, question }) => `- [${question}](#${name})`),
    '- [Where peers are better](#where-peers-are-better)',
    '',
    'Summary, as medians:',
    '',
    ...headlines(results),
    ...results.flatMap(section),
    ...JUDGED.flatMap(judgedSection),
    '',
    '## Where peers are better',
    '',
    'A peer has the better median in these scenarios:',
    '',
    ...losses(results),
    '',
    '## Run the benchmarks',
    '',
    '```sh',
    'npm run bench -- --json bench/results   # all of them, half an hour',
    'npm run bench -- scrape --hosts 1000    # one of them',
    ...JUDGED.map(({ command }) => command),
    'npm run --silent simulation > bench/results/simulation.md   # from the results of the benchmarks',
    'npm run bench:report                    # writes this page, and the estimates in scaling.md',
    'npm run bench:compare -- main scrape    # compares with another revision',
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
