import { readFileSync } from 'node:fs';
import { isMap, LineCounter, Parser, parseDocument } from 'yaml';
import { messageOf } from '../errors.ts';
import type { Faults } from './faults.ts';

const MAX_YAML_DEPTH = 16;

/** The map that a YAML file holds; empty, and a fault, if it holds none. */
export function readYaml(file: string, faults: Faults): Readonly<Record<string, unknown>> {
  const text = readOr(faults, file, file);
  if (text === undefined) return {};
  if (isTooDeep(text)) {
    faults.push(
      `${file}: nested more than ${MAX_YAML_DEPTH} levels deep; settings are a map of texts and lists`,
    );
    return {};
  }
  const lines = new LineCounter();
  // None of the messages is shown, and none logged: they quote the line at fault, and that may be the
  // one with the token.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    faults.push(`${file}: line ${line}, column ${col}: not valid YAML (${error.code})`);
  }
  if (document.errors.length > 0) return {};
  try {
    const value: unknown = document.toJS();
    if (value === null) return {};
    if (isMap(document.contents)) return value as Readonly<Record<string, unknown>>;
    faults.push(`${file}: must be a map of settings`);
  } catch {
    faults.push(`${file}: not valid YAML (an alias, *NAME, without its &NAME)`);
  }
  return {};
}

/** Parsing in full goes down level by level: thousands of them take minutes, or end the process. */
function isTooDeep(yaml: string): boolean {
  const stack: { readonly token: unknown; readonly depth: number }[] = [];
  for (const token of new Parser().parse(yaml)) stack.push({ token, depth: 0 });
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { token, depth } = next;
    if (depth > MAX_YAML_DEPTH) return true;
    if (typeof token !== 'object' || token === null) continue;
    // https://eemeli.org/yaml/#cst-parser: what is inside of a token is in these.
    const { value, items, key } = token as { value?: unknown; items?: unknown; key?: unknown };
    for (const inner of [value, key]) stack.push({ token: inner, depth });
    if (Array.isArray(items))
      for (const item of items) stack.push({ token: item, depth: depth + 1 });
  }
  return false;
}

/**
 * The text of a file; undefined, and a fault, if it cannot be read.
 * @param path `hide`: it may be the token itself, given for the file by mistake
 */
export function readOr(
  faults: Faults,
  source: string,
  file: string,
  path: 'show' | 'hide' = 'show',
): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const message = messageOf(error);
    const isSafe = path === 'show' && faults.shown(file) !== 'the token';
    const told = isSafe ? message : message.replace(/'.*'/s, 'the file');
    faults.push(`${source}: cannot be read: ${told}`);
    return undefined;
  }
}
