import { parseCommandLine, type SoakOptions, USAGE } from './soak/command-line.ts';
import { progressLine, summary } from './soak/report.ts';
import { soak } from './soak/run.ts';
import { verdict } from './soak/verdict.ts';
import { commandLine } from './support/command-line.ts';

/*
 * Runs a control plane for minutes or hours while agents report, disconnect and reconnect, hosts
 * are added and removed, and scrapes continue. Memory must stay flat. Every acknowledged finish must
 * be on disk and counted exactly once.
 */

/** Maximum number of printed reasons. An error that occurs with each message would fill the screen. */
const MAX_REASONS = 20;
const EXIT_FAILED = 1;

// Exit handlers end the processes and delete the files of the soak. They must also run after these
// signals.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(EXIT_FAILED));
}

const options = commandLine(USAGE, parseCommandLine);
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

/** @returns the reasons why the soak failed */
async function run(options: SoakOptions): Promise<string[]> {
  try {
    const outcome = await soak(options, (progress) => console.log(progressLine(progress)));
    console.log(`\n${summary(outcome)}\n`);
    return verdict(outcome);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
