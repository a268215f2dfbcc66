import { type ParseArgsConfig, parseArgs } from 'node:util';
import { messageOf, RmError } from '../errors.ts';

export interface Command {
  /** The text that `--help` prints after `Usage: `. It starts with the synopsis. */
  readonly usage: string;
  run(args: readonly string[]): Promise<void>;
}

/**
 * Runs `parseArgs` of `node:util` in strict mode.
 * @throws RmError `usage`
 */
export function parseFlags<const T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new RmError('usage', messageOf(error).split('. ')[0] ?? '', { cause: error });
  }
}

/**
 * Checks the number of positional arguments.
 * @returns `given`
 * @throws RmError `usage` unless exactly `names.length` arguments were given
 */
export function expectArguments<const N extends readonly string[]>(
  given: readonly string[],
  names: N,
): { [I in keyof N]: string } {
  const missing = names[given.length];
  if (missing !== undefined) throw new RmError('usage', `${missing} is missing`);
  const extra = given[names.length];
  if (extra !== undefined)
    throw new RmError('usage', `unexpected argument ${JSON.stringify(extra)}`);
  return given as { [I in keyof N]: string };
}
