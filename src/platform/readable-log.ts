import { styleText } from 'node:util';

type Colour = Parameters<typeof styleText>[0];

const COLOURS: Readonly<Record<string, Colour>> = {
  trace: 'gray',
  debug: 'gray',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
};
/**
 * Characters that have no shape of their own: controls, which a terminal may take for commands, formats such
 * as those that change the direction of text, unassigned ones, and separators of lines.
 */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
const UNQUOTED = /^[^\s"=\\]+$/;

/**
 * Makes a line of the log readable in a terminal:
 * `14:03:59 WARN  scrape refused  event=scrape_refused gate=token`.
 *
 * Values come from strangers, so control characters in them are escaped. (pino-pretty prints them as
 * they are, and a terminal would execute them.)
 * @param json a line of JSON, as pino writes it
 */
export function readableLine(json: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(json);
  const words = [
    clock(new Date(time)),
    coloured(COLOURS[level] ?? 'red', String(level).toUpperCase().padEnd(5)),
    escaped(String(msg ?? '')),
  ];
  const values = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
  if (values.length > 0) words.push('', coloured('gray', values.join(' ')));
  const stack = err == null ? [] : String(err.stack ?? err.message ?? err).split('\n');
  return `${[words.join(' '), ...stack.map(escaped)].join('\n    ')}\n`;
}

/** The time of day in the time zone of this system. */
function clock(time: Date): string {
  const twoDigits = (part: number) => String(part).padStart(2, '0');
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(':');
}

function shown(value: unknown): string {
  if (typeof value === 'string' && UNQUOTED.test(value)) return escaped(value);
  return escaped(JSON.stringify(value));
}

/** Makes a text from a stranger safe for a terminal. */
export function escaped(text: string): string {
  return text.replace(INVISIBLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** https://no-color.org */
function coloured(colour: Colour, text: string): string {
  return process.env.NO_COLOR ? text : styleText(colour, text, { validateStream: false });
}
