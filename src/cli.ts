import type { Command } from './commands/command.ts';
import { demo } from './commands/demo.ts';
import { hosts } from './commands/hosts.ts';
import { serve } from './commands/serve.ts';
import { errorCode, messageOf } from './errors.ts';
import { packageVersion } from './platform/build-info.ts';

const COMMANDS: readonly Command[] = [serve, hosts, demo];

/** Exit codes: 0 done, 1 failed, 2 the command line or the settings are wrong. */
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [name = '--help', ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (args.includes('--version')) {
    console.log(packageVersion());
  } else if (command === undefined && (name === '--help' || name === '-h')) {
    console.log(overview());
  } else if (command === undefined) {
    fail(`unknown command ${JSON.stringify(name)}`, 'restic-manager --help', EXIT_USAGE);
  } else if (rest.includes('--help') || rest.includes('-h')) {
    console.log(`${command.summary}\n\n${command.usage}`);
  } else {
    await run(command, rest);
  }
}

async function run(command: Command, args: readonly string[]): Promise<void> {
  try {
    await command.run(args);
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
