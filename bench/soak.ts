import { parseCommandLine, type SoakOptions, USAGE } from './soak/command-line.ts';
import { progressLine, summary } from './soak/report.ts';
import { soak } from './soak/run.ts';
import { verdict } from './soak/verdict.ts';

/*
 * Does a control plane hold out? It runs for minutes or hours while agents report, vanish and come back, hosts are
 * added and removed, and scrapes go on. Memory has to stay flat, and whatever was acknowledged has to be on disk and
 * counted once.
 */

/** Reasons that are told; a fault that shows in each message would else fill the screen. */
const MAX_REASONS = 20;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

// What was started is ended, and what was written is deleted, when this process exits: also for these.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(EXIT_FAILED));
}

const options = commandLine();
const { minutes, agents, rate, threads } = options;
console.log(
  `soak: ${agents} agents, ${rate} finishes/s, ${minutes} minutes, ${threads} agent ${threads === 1 ? 'loop' : 'loops'}`,
);
const reasons = await run(options);
if (reasons.length === 0) {
  console.log('PASS');
} else {
  const more = reasons.length - MAX_REASONS;
  console.log(`FAIL: ${reasons.slice(0, MAX_REASONS).join('\n      ')}`);
  if (more > 0) console.log(`      and ${more} more`);
}
process.exit(reasons.length === 0 ? 0 : EXIT_FAILED);

/** @returns why it failed */
async function run(options: SoakOptions): Promise<string[]> {
  try {
    const outcome = await soak(options, (progress) => console.log(progressLine(progress)));
    console.log(`\n${summary(outcome)}\n`);
    return verdict(outcome);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

function commandLine(): SoakOptions {
  try {
    const parsed = parseCommandLine(process.argv.slice(2));
    if (parsed !== 'help') return parsed;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}
