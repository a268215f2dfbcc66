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
    summary: 'enrol, list, rename and remove hosts; works while serve is running',
    load: async () => (await import('./commands/hosts.ts')).hosts,
  },
  {
    name: 'import',
    summary: 'copy a fleet from SQLite to an empty PostgreSQL database',
    load: async () => (await import('./commands/import.ts')).importCommand,
  },
  {
    name: 'demo',
    summary: 'run a temporary control plane with simulated agents',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
];

/** Exit codes: 0 success, 1 failure, 2 invalid command line or settings. */
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const HELP: readonly string[] = ['help', '--help', '-h'];

// A reader of standard output may exit early, as `head` does. That is not an error, but a full disk is.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  console.error(`restic-manager: cannot write to standard output: ${error.message}`);
  process.exit(EXIT_FAILED);
});
// By default SIGHUP ends the process. A server reloads instead. This handler protects it until `serve` has its own.
if (process.argv[2] === 'serve') process.on('SIGHUP', () => {});
await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [name = '--help', ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  // After `--`, the name of a host may look like a flag.
  const flags = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  if (flags.includes('--version') || name === '-V') {
    console.log(packageVersion());
  } else if (command === undefined && HELP.includes(name)) {
    const asked = COMMANDS.find((candidate) => candidate.name === rest[0]);
    console.log(asked === undefined ? overview() : await helpOf(asked));
  } else if (command === undefined) {
    fail(`unknown command ${JSON.stringify(name)}`, 'restic-manager --help', EXIT_USAGE);
  } else if (flags.includes('--help') || flags.includes('-h')) {
    console.log(await helpOf(command));
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
    // Any other error is a bug, so its stack is printed.
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

async function helpOf(command: CommandEntry): Promise<string> {
  return `Usage: ${(await command.load()).usage}`;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: restic-manager COMMAND [OPTION…]

A control plane for a fleet of restic backups, with Prometheus metrics.

Commands:
${lines.join('\n')}

Options:
  -h, --help     print this help, or the help of a command
  -V, --version  print the version

Run "restic-manager COMMAND --help" for the options of a command.`;
}
