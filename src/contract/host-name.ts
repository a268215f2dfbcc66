import { RmError } from '../errors.ts';

const MAX_CHARACTERS = 255;
const CONTROL = /\p{Cc}/u;
/** https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const UNSAFE = new RegExp(`${CONTROL.source}|${DIRECTION.source}`, 'gu');
const REPLACEMENT = '\ufffd';

/**
 * Checks a text that becomes a label value.
 * @returns the fault, as the end of a sentence; undefined if the text is valid
 */
export function labelFault(text: string): string | undefined {
  const length = lengthOf(text);
  if (length > MAX_CHARACTERS)
    return `must have at most ${MAX_CHARACTERS} characters, not ${length}`;
  if (CONTROL.test(text)) return 'must not contain control characters';
  if (DIRECTION.test(text)) return 'must not contain characters that change the direction of text';
  if (!text.isWellFormed()) return 'must not contain half of a character (a lone surrogate)';
  return undefined;
}

/** Checks a host name as `labelFault` does. A host name must also have a visible character. */
export function hostNameFault(name: string): string | undefined {
  const length = lengthOf(name);
  if (length < 1 || length > MAX_CHARACTERS) {
    return `must have 1 to ${MAX_CHARACTERS} characters, not ${length}`;
  }
  return labelFault(name) ?? (name.trim() === '' ? 'must not be only white space' : undefined);
}

/** Counts characters. One outside of the Basic Multilingual Plane has two UTF-16 code units. */
function lengthOf(text: string): number {
  return text.length > MAX_CHARACTERS || text.length === 0 ? [...text].length : text.length;
}

/** Makes a text of an agent valid as a label value: replaces unsafe characters by U+FFFD. */
export function asLabel(text: string): string {
  return text.toWellFormed().replace(UNSAFE, REPLACEMENT);
}

/**
 * Checks a host name.
 * @param place what the error message calls the name
 * @throws RmError `invalid_host`
 */
export function checkHostName(name: string, place = 'host name'): void {
  const fault = hostNameFault(name);
  if (fault !== undefined) throw new RmError('invalid_host', `${place}: ${fault}`);
}
