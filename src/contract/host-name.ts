import { RmError } from '../errors.ts';

const MAX_CHARACTERS = 255;
/** Length of the part of a wrong name that an error shows. */
const SHOWN_CHARACTERS = 40;
const CONTROL = /\p{Cc}/u;
/** https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const UNSAFE = new RegExp(`${CONTROL.source}|${DIRECTION.source}`, 'gu');
const REPLACEMENT = '\ufffd';

/**
 * Checks a text that becomes a label value.
 * @returns the error, as the end of a sentence; undefined if the text is valid
 */
export function labelError(text: string): string | undefined {
  const length = lengthOf(text);
  if (length > MAX_CHARACTERS)
    return `must have at most ${MAX_CHARACTERS} characters, not ${length}`;
  if (CONTROL.test(text)) return 'must not contain control characters';
  if (DIRECTION.test(text)) return 'must not contain characters that change the direction of text';
  if (!text.isWellFormed()) return 'must not contain half of a character (a lone surrogate)';
  return undefined;
}

/** Checks a host name as `labelError` does. A host name must also have a visible character. */
export function hostNameError(name: string): string | undefined {
  const length = lengthOf(name);
  if (length < 1 || length > MAX_CHARACTERS) {
    return `must have 1 to ${MAX_CHARACTERS} characters, not ${length}`;
  }
  return labelError(name) ?? (name.trim() === '' ? 'must not be only white space' : undefined);
}

/** Counts characters. One outside of the Basic Multilingual Plane has two UTF-16 code units. */
function lengthOf(text: string): number {
  return text.length > MAX_CHARACTERS || text.length === 0 ? [...text].length : text.length;
}

/** Makes text from an agent valid as a label value: replaces unsafe characters with U+FFFD. */
export function asLabel(text: string): string {
  return text.toWellFormed().replace(UNSAFE, REPLACEMENT);
}

/**
 * Checks a host name.
 * @param place what the error message calls the name
 * @throws RmError `invalid_host`
 */
export function checkHostName(name: string, place = 'host name'): void {
  const error = hostNameError(name);
  if (error !== undefined) throw new RmError('invalid_host', `${place}: ${error}`);
}

/**
 * Checks several host names.
 * @throws RmError `invalid_host` for the first invalid name
 */
export function checkHostNames(names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    checkHostName(name, names.length === 1 ? undefined : placeOf(name, index));
  }
}

/** Identifies one of several names in an error: its number and its first characters. */
function placeOf(name: string, index: number): string {
  const start = [...name].slice(0, SHOWN_CHARACTERS).join('');
  return `host name ${index + 1} (${JSON.stringify(start)}${start === name ? '' : '…'})`;
}
