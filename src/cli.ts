import type { Command } from './commands/command.ts';
import { errorCode, messageOf } from './errors.ts';
import { packageVersion } from './platform/build-info.ts';

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Only the command that runs is loaded: `hosts` needs no web server. */
  readonly load: () => Promise<Command>;
}

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'serve',
    summary: 'run the control plane until SIGTERM or SIGINT',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'hosts',
    summary: 'enrol, list, rename and remove hosts, also while serve is running',
    load: async () => (await import('./commands/hosts.ts')).hosts,
  },
  {
    name: 'import',
    summary: 'copy a fleet from SQLite to an empty PostgreSQL',
    load: async () => (await import('./commands/import.ts')).importCommand,
  },
  {
    name: 'demo',
    summary: 'try it: a control plane with simulated agents, which leaves nothing behind',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
];

/** Exit codes: 0 done, 1 failed, 2 the command line or the settings are wrong. */
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const HELP: readonly string[] = ['help', '--help', '-h'];

// If the reader of standard output has gone, as `head` does, nothing is wrong. Any other error is, such as a full disk.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  console.error(`restic-manager: standard output cannot be written: ${error.message}`);
  process.exit(EXIT_FAILED);
});
// The default action of SIGHUP is to end the process. A server reloads instead, also one that has just begun to start.
if (process.argv[2] === 'serve') process.on('SIGHUP', () => {});
await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [name = '--help', ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  // A host may be named like a flag, after `--`.
  const flags = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  if (flags.includes('--version') || name === '-V') {
    console.log(packageVersion());
  } else if (command === undefined && HELP.includes(name)) {
    console.log(overview());
  } else if (command === undefined) {
    fail(`unknown command ${JSON.stringify(name)}`, 'restic-manager --help', EXIT_USAGE);
  } else if (flags.includes('--help') || flags.includes('-h')) {
    console.log(`${command.summary}\n\n${(await command.load()).usage}`);
  } else {
    await run(command, rest);
  }
}

async function run(command: CommandEntry, args: readonly string[]): Promise<void> {
  try {
    await (await command.load()).run(args);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'usage')
      fail(messageOf(error), `restic-manager ${command.name} --help`, EXIT_USAGE);
    else if (code === 'invalid_settings') fail(messageOf(error), undefined, EXIT_USAGE);
    // What we did not foresee is a defect, and its stack says where.
    else
      fail(
        code ? messageOf(error) : String((error as Error).stack ?? error),
        undefined,
        EXIT_FAILED,
      );
  }
}

function fail(message: string, hint: string | undefined, exitCode: number): void {
  for (const line of message.split('\n')) console.error(`restic-manager: ${line}`);
  if (hint !== undefined) console.error(`Try ${hint}`);
  process.exitCode = exitCode;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `restic-manager: a control plane for a fleet of restic backups, with metrics for Prometheus

${lines.join('\n')}

  --help     this, or with a command its own
  --version  the version`;
}
