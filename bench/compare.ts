import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { commandLine, wholeNumber } from './support/command-line.ts';
import type { ResultFile, Row } from './support/result.ts';
import { median, quantile } from './support/samples.ts';
import { figure, scenarioText } from './support/table.ts';

/*
 * Compares two revisions of src by measuring them in turn. The speed of the machine varies over
 * minutes, and that must affect both revisions alike.
 *
 * Both revisions are measured by the benches of this revision. If these do not run on the sources
 * of the other revision, for example because files have moved, the other revision is measured by
 * its own benches.
 */
const ROOT = join(import.meta.dirname, '..');
const USAGE = `npm run bench:compare -- REF [NAME...] [--hosts N] [--rounds N] [--quick]

  REF         branch, tag or commit to compare the sources here with
  NAME        benches to run; default: observe render scrape
  --hosts N   fleet size; default 1000
  --rounds N  how often each revision is measured; default 5
  --quick     finish in seconds; the figures are rough`;

class Interrupted extends Error {}
// Ctrl-C also reaches the running bench and ends it. This process must stay alive to clean up.
process.on('SIGINT', () => {});

const { ref, names, flags, rounds } = commandLine(USAGE, parse);
const directory = mkdtempSync(join(tmpdir(), 'restic-manager-compare-'));
const other = join(directory, 'tree');
try {
  run('git', ['worktree', 'add', '--quiet', '--detach', other, ref]);
  symlinkSync(join(ROOT, 'node_modules'), join(other, 'node_modules'));
  renameSync(join(other, 'bench'), join(other, 'own-bench'));
  cpSync(import.meta.dirname, join(other, 'bench'), { recursive: true });
  for (const name of names) console.log(`${compared(name)}\n`);
} catch (error) {
  if (!(error instanceof Interrupted)) throw error;
  process.exitCode = 130;
} finally {
  spawnSync('git', ['worktree', 'remove', '--force', other], { cwd: ROOT });
  rmSync(directory, { recursive: true, force: true });
}

/**
 * Compares one bench. The benches import internals, which may be missing in the other revision;
 * then that revision's own benches are used.
 */
function compared(name: string): string {
  try {
    return compare(name);
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    if (existsSync(join(other, 'own-bench'))) {
      console.error(
        `${name}: measuring ${ref} with its own benches, because these do not run on it`,
      );
      rmSync(join(other, 'bench'), { recursive: true, force: true });
      renameSync(join(other, 'own-bench'), join(other, 'bench'));
      return compared(name);
    }
    process.exitCode = 1;
    const message = error instanceof Error ? error.message : String(error);
    const [why = message] = /^\w*Error.*$/m.exec(message) ?? [];
    return `${name} cannot be compared: this bench does not run on the sources of ${ref} (${why})`;
  }
}

function compare(name: string): string {
  const here: Row[][] = [];
  const there: Row[][] = [];
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`${name}: round ${round + 1} of ${rounds}\n`);
    const first = round % 2 === 0;
    if (first) here.push(measure(ROOT, name));
    there.push(measure(other, name));
    if (!first) here.push(measure(ROOT, name));
  }
  const known = (here[0] ?? []).filter((row) => there[0]?.some((other) => isSame(row, other)));
  const lines = known.map((row) => {
    const [ours, theirs] = [here, there].map((runs) =>
      runs.map((rows) => rows.find((other) => isSame(row, other))?.median ?? 0),
    );
    const ratios = Float64Array.from(ours ?? [], (value, at) => value / (theirs?.[at] ?? 0)).sort();
    const [low, middle, high] = [0, 0.5, 1].map((q) => figure(quantile(ratios, q)));
    return `  ${row.measure}: ${scenarioText(row.scenario)}, ${row.contestant}: ${figure(median(ours ?? []))} against ${figure(median(theirs ?? []))} ${row.unit}, ${middle} times (${low} – ${high})`;
  });
  return [`${name}, here against ${ref}`, ...lines].join('\n');
}

function isSame(a: Row, b: Row): boolean {
  const name = ({ measure, unit, contestant, scenario }: Row) =>
    [measure, unit, contestant, scenarioText(scenario)].join();
  return name(a) === name(b);
}

/**
 * Returns the rows of our contestants and of the floor. The floor should not differ between
 * revisions.
 */
function measure(tree: string, name: string): Row[] {
  const file = join(directory, 'result.json');
  run(process.execPath, [join(tree, 'bench/run.ts'), name, '--no-peers', '--json', file, ...flags]);
  const result: ResultFile = JSON.parse(readFileSync(file, 'utf8'));
  return [...result.rows];
}

function run(command: string, args: readonly string[]): void {
  const { status, signal, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
  if (signal === 'SIGINT' || status === 130) throw new Interrupted();
  if (status !== 0) throw new Error(stderr);
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      hosts: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const [ref, ...names] = positionals;
  if (ref === undefined) throw new Error('REF is missing');
  return {
    ref,
    names: names.length === 0 ? ['observe', 'render', 'scrape'] : names,
    flags: ['--hosts', values.hosts, ...(values.quick ? ['--quick'] : [])],
    rounds: wholeNumber('--rounds', values.rounds),
  };
}
