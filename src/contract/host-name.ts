import { RmError } from '../errors.ts';

const MAX_CHARACTERS = 255;
/**
 * Characters that change how the text around them is shown: control characters (Cc), and those that change the
 * direction of the text. https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
 */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const ALL_UNSAFE = new RegExp(UNSAFE, 'gu');
const REPLACEMENT = '\ufffd';

/** @returns what is wrong with a text that becomes a label; undefined if it is good */
export function labelFault(text: string): string | undefined {
  const length = text.length > MAX_CHARACTERS ? [...text].length : text.length;
  if (length > MAX_CHARACTERS)
    return `must have at most ${MAX_CHARACTERS} characters, not ${length}`;
  if (UNSAFE.test(text))
    return 'must not contain control characters, nor characters that change the direction of text';
  if (!text.isWellFormed()) return 'must not contain half of a character (a lone surrogate)';
  return undefined;
}

/** The same rule for the names of hosts, which also need something that can be seen. */
export function hostNameFault(name: string): string | undefined {
  if (name.trim() === '') return 'must have 1 to 255 characters, and not only white space';
  return labelFault(name);
}

/** A text of an agent as a label can show it. */
export function asLabel(text: string): string {
  return text.toWellFormed().replace(ALL_UNSAFE, REPLACEMENT);
}

/**
 * @param place how an error names it
 * @throws RmError `invalid_host`
 */
export function checkHostName(name: string, place = 'host name'): void {
  const fault = hostNameFault(name);
  if (fault !== undefined) throw new RmError('invalid_host', `${place}: ${fault}`);
}
