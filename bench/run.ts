import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { api } from './api.ts';
import { disk } from './disk.ts';
import { ingest } from './ingest.ts';
import { memory } from './memory.ts';
import { observe } from './observe.ts';
import { page } from './page.ts';
import { postgres } from './postgres.ts';
import { render } from './render.ts';
import { reports } from './reports.ts';
import { scrape } from './scrape.ts';
import { stall } from './stall.ts';
import type { BenchDefinition } from './support/bench.ts';
import { commandLine, wholeNumber } from './support/command-line.ts';
import { circumstances } from './support/machine.ts';
import { Progress } from './support/progress.ts';
import type { ResultFile } from './support/result.ts';
import { table } from './support/table.ts';

const BENCHES: readonly BenchDefinition[] = [
  observe,
  render,
  scrape,
  stall,
  ingest,
  reports,
  memory,
  disk,
  postgres,
  api,
  page,
];

const USAGE = `npm run bench -- [NAME] [--hosts N] [--json PATH] [--quick] [--no-peers]

  NAME         one of ${BENCHES.map(({ name }) => name).join(', ')}; default: all
  --hosts N    measure only this fleet size
  --json PATH  write the figures to this file, if it ends in .json, or to PATH/NAME.json
  --quick      finish in seconds; the figures are rough
  --no-peers   measure only this package and the floor`;

interface Options {
  readonly hosts: number | undefined;
  readonly json: string | undefined;
  readonly quick: boolean;
  readonly peers: boolean;
}

const { name, ...options } = commandLine(USAGE, parse);
const bench = BENCHES.find((one) => one.name === name);
if (bench === undefined) runAll(options);
else await runOne(bench, options);

async function runOne(bench: BenchDefinition, options: Options): Promise<void> {
  const { json, quick } = options;
  const progress = new Progress(bench.name);
  const measured = circumstances(['npm run bench --', bench.name, ...flags(options)].join(' '));
  const { rows, notes } = await bench.run({ ...options, progress });
  progress.end();
  console.log(`${bench.name}: ${bench.question}\n\n${table(rows)}\n`);
  for (const note of notes) console.log(`note: ${note}`);
  if (json === undefined) return;
  const { name, question } = bench;
  const file: ResultFile = { bench: name, question, quick, measured, rows, notes };
  const path = json.endsWith('.json') ? json : join(json, `${name}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`);
}

/** Runs each bench in its own process, so that none inherits memory or compiled code from another. */
function runAll(options: Options): void {
  const { json } = options;
  for (const { name } of BENCHES) {
    const args = [fileURLToPath(import.meta.url), name, ...flags(options)];
    if (json !== undefined) args.push('--json', join(json, `${name}.json`));
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) {
      console.error(`${name}: failed`);
      process.exitCode = 1;
    }
    console.log('');
  }
}

/** All flags that affect the measurement, as they were given. */
function flags({ hosts, quick, peers }: Options): string[] {
  return [
    ...(hosts === undefined ? [] : ['--hosts', String(hosts)]),
    ...(quick ? ['--quick'] : []),
    ...(peers ? [] : ['--no-peers']),
  ];
}

function parse(args: string[]): (Options & { readonly name: string | undefined }) | 'help' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      hosts: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'no-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const [name, ...rest] = positionals;
  const hosts = values.hosts === undefined ? undefined : wholeNumber('--hosts', values.hosts);
  if (rest.length > 0) throw new Error(`give one NAME only; unexpected: ${rest.join(', ')}`);
  if (name !== undefined && !BENCHES.some((one) => one.name === name)) {
    throw new Error(`unknown bench ${name}`);
  }
  return { name, hosts, json: values.json, quick: values.quick, peers: !values['no-peers'] };
}
