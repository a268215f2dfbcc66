import { parseArgs } from 'node:util';
import { MAX_AGENT_THREADS } from '../../src/config/settings.ts';
import { MAX_REMEMBERED } from '../../src/store-thread/sqlite/jobs.ts';
import { wholeNumber } from '../support/command-line.ts';

export const USAGE = `npm run soak -- [--minutes N] [--agents N] [--rate N] [--threads N] [--scrape-limit MS]

  --minutes N        duration, also as a fraction; default 2, at least 0.1
  --agents N         number of agents that report at the same time; default 300
  --rate N           finished jobs per second, of all agents together; default 1500
  --threads N        agent loops of the server (RM_AGENT_THREADS); default 1
  --scrape-limit MS  upper limit for the 99th percentile of scrape durations; default 1000

Runs a real control plane in a temporary directory, which needs about 350 bytes per job. Prints PASS or FAIL.`;

export interface SoakOptions {
  readonly minutes: number;
  readonly agents: number;
  /** Finished jobs per second. */
  readonly rate: number;
  readonly threads: number;
  readonly scrapeLimitMs: number;
}

const LEAST_MINUTES = 0.1;
/**
 * Agents are chosen at random, and some jobs never finish, so some hosts have more jobs than the
 * average.
 */
const MARGIN = 0.9;

/** @throws Error that names the flag and says what would be valid */
export function parseCommandLine(args: readonly string[]): SoakOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '2' },
      agents: { type: 'string', default: '300' },
      rate: { type: 'string', default: '1500' },
      threads: { type: 'string', default: '1' },
      'scrape-limit': { type: 'string', default: '1000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const minutes = Number(values.minutes);
  if (!(Number.isFinite(minutes) && minutes >= LEAST_MINUTES)) {
    throw new Error(
      `--minutes: must be a number of at least ${LEAST_MINUTES}, not ${values.minutes}`,
    );
  }
  const options = {
    minutes,
    agents: wholeNumber('--agents', values.agents),
    rate: wholeNumber('--rate', values.rate),
    threads: wholeNumber('--threads', values.threads, MAX_AGENT_THREADS),
    scrapeLimitMs: wholeNumber('--scrape-limit', values['scrape-limit']),
  };
  checkJobsPerHost(options);
  return options;
}

/**
 * The server deletes the oldest jobs of a host that has very many jobs. The soak could not verify
 * those.
 */
function checkJobsPerHost({ minutes, agents, rate }: SoakOptions): void {
  const mostJobs = agents * MAX_REMEMBERED * MARGIN;
  if (rate * minutes * 60 <= mostJobs) return;
  const mostRate = Math.floor(mostJobs / (minutes * 60));
  throw new Error(
    `--rate: must be at most ${mostRate} with ${agents} agents for ${minutes} minutes, because the server keeps only ${MAX_REMEMBERED} jobs per host`,
  );
}
