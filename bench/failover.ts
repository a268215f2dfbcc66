import { parseCommandLine, USAGE } from './failover/command-line.ts';
import { heading, summary } from './failover/report.ts';
import { type FailoverOptions, failover } from './failover/run.ts';
import { commandLine } from './support/command-line.ts';

/*
 * The primary of a replicated PostgreSQL fails in several ways while agents report finishes to several control planes.
 * No acknowledged finish may be lost, each must be counted once, and everything must continue by itself.
 */

const MAX_REASONS = 10;
const EXIT_FAILED = 1;

// Exit handlers end the processes and delete the files. They must also run after these signals.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    console.log('failover: FAILED (interrupted)');
    process.exit(EXIT_FAILED);
  });
}

const options = commandLine(USAGE, parseCommandLine);
console.log(heading(options));
const faults = await run(options);
const more = faults.length - MAX_REASONS;
for (const fault of faults.slice(0, MAX_REASONS)) console.log(`  ${fault}`);
if (more > 0) console.log(`  and ${more} more`);
console.log(
  faults.length === 0 ? 'failover: passed' : `failover: FAILED (${faults[0]?.split('\n')[0]})`,
);
process.exit(faults.length === 0 ? 0 : EXIT_FAILED);

/** @returns the reasons why it failed */
async function run(options: FailoverOptions): Promise<readonly string[]> {
  const startedAt = performance.now();
  const tell = (what: string) => {
    const seconds = String(Math.round((performance.now() - startedAt) / 1_000)).padStart(4);
    console.log(`${seconds} s  ${what}`);
  };
  try {
    const outcome = await failover(options, tell);
    console.log(`\n${summary(outcome)}\n`);
    return outcome.faults;
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
