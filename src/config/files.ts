import { readFileSync } from 'node:fs';
import { isMap, LineCounter, Parser, parseDocument } from 'yaml';
import { messageOf } from '../errors.ts';
import { permissionProblem } from '../platform/file-access.ts';
import type { ErrorList } from './error-list.ts';

const MAX_YAML_DEPTH = 16;
/** The parser's own messages quote the line, which may contain a secret. */
const YAML_HINTS: Readonly<Record<string, string>> = {
  BAD_INDENT: ': check the indentation',
  BLOCK_AS_IMPLICIT_KEY: ': check the indentation of this line and the next one',
  DUPLICATE_KEY: ': the key is there twice',
  MISSING_CHAR: ': a quote, a bracket or a colon is missing',
  MULTILINE_IMPLICIT_KEY: ': a colon is missing, or a line is indented wrongly',
  TAB_AS_INDENT: ': indent with spaces, not with tabs',
};

/**
 * Returns the map in a YAML file. If the file has no such map, adds an error and returns an empty
 * one.
 */
export function readYaml(file: string, errors: ErrorList): Readonly<Record<string, unknown>> {
  const text = readTextFile(errors, file, file);
  if (text === undefined) return {};
  if (isTooDeep(text)) {
    errors.push(
      `${file}: nested more than ${MAX_YAML_DEPTH} levels deep; settings must be a map of strings and lists`,
    );
    return {};
  }
  const lines = new LineCounter();
  // Messages of the parser must be neither shown nor logged: they quote the invalid line, which may
  // contain the token.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    const hint = YAML_HINTS[error.code] ?? '';
    errors.push(`${file}: line ${line}, column ${col}: not valid YAML (${error.code})${hint}`);
  }
  if (document.errors.length > 0) return {};
  try {
    const value: unknown = document.toJS();
    if (value === null) return {};
    if (isMap(document.contents)) return value as Readonly<Record<string, unknown>>;
    errors.push(`${file}: must be a map of settings`);
  } catch {
    errors.push(`${file}: not valid YAML (an alias, *NAME, without its &NAME)`);
  }
  return {};
}

/**
 * Returns whether the nesting is too deep for `parseDocument`. It recurses once per level, so
 * thousands of levels take minutes or crash the process.
 */
function isTooDeep(yaml: string): boolean {
  const stack: { readonly token: unknown; readonly depth: number }[] = [];
  for (const token of new Parser().parse(yaml)) stack.push({ token, depth: 0 });
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { token, depth } = next;
    if (depth > MAX_YAML_DEPTH) return true;
    if (typeof token !== 'object' || token === null) continue;
    // https://eemeli.org/yaml/#cst-parser: a token contains other tokens only in these fields.
    const { value, items, key } = token as { value?: unknown; items?: unknown; key?: unknown };
    for (const inner of [value, key]) stack.push({ token: inner, depth });
    if (Array.isArray(items))
      for (const item of items) stack.push({ token: item, depth: depth + 1 });
  }
  return false;
}

/**
 * Returns the text of a file. If it cannot be read, adds an error and returns undefined.
 * @param source the setting that names the file
 * @param path `hide` if the path must not be shown: it may be the secret itself, given by
 * mistake instead of a file
 */
export function readTextFile(
  errors: ErrorList,
  source: string,
  file: string,
  path: 'show' | 'hide' = 'show',
): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // It shows only paths that exist, so it cannot show a token.
    const problem = permissionProblem(file, 'read');
    const message = problem ?? messageOf(error);
    const isSafe = path === 'show' && !errors.hasSecret(file);
    const detail = isSafe || problem !== undefined ? message : message.replace(/, \w+ '.*'$/s, '');
    errors.push(`${source}: cannot be read: ${detail}`);
    return undefined;
  }
}
