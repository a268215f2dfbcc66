const EXIT_USAGE = 2;

/**
 * Returns the options of this process. Prints the usage and exits with 0 if they ask for help, and prints what is wrong
 * and exits with 2 if they are not valid.
 * @param parse throws an Error that names the flag and says what would be valid
 */
export function commandLine<Options>(
  usage: string,
  parse: (args: string[]) => Options | 'help',
): Options {
  try {
    const options = parse(process.argv.slice(2));
    if (options !== 'help') return options;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    process.exit(EXIT_USAGE);
  }
}

/** @throws Error */
export function wholeNumber(
  flag: string,
  text: string,
  most: number = Number.MAX_SAFE_INTEGER,
  least = 1,
): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? 'above 0' : `from ${least} to ${most}`;
  throw new Error(`${flag}: must be a whole number ${range}, not ${text}`);
}
