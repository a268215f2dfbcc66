import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

/** The status page as one document. */
export interface PageDocument {
  readonly html: string;
  /** `sha256-…` of its style and of its script, for the header Content-Security-Policy. */
  readonly styleHash: string;
  readonly scriptHash: string;
}

const ENTRY = 'main';
const IMPORT = /^import\s[^;]*?from '\.\/([\w-]+)\.[jt]s';\n/gm;
const EXPORT = /^export (?=(?:async |abstract )?(?:class|const|function|let) )/gm;
/** Comments and empty lines, which browsers do not need. Only comments that begin a line: others may be in a text. */
const COMMENT = /^[ \t]*\/\*[\s\S]*?\*\/\n|^[ \t]*\/\/.*\n|^[ \t]*\n/gm;
/** What is left over if a module does something that `joinModules` does not know. */
const UNKNOWN = /^\s*(?:import|export)\b.*/m;

/**
 * Makes one document of the sources in `src/page/`: they are TypeScript in the repository, and
 * JavaScript in the published package.
 *
 * One document needs one request. It cannot be torn between two versions of the server, and a reverse
 * proxy needs to forward only `/` and `/api/`.
 */
export function readPageDocument(): PageDocument {
  const folder = new URL('../../page/', import.meta.url);
  const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');
  const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const modules = new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .map((name) => [name.slice(0, -ending.length), withoutTypes(read(name), ending)]),
  );
  const style = read('page.css').replace(COMMENT, '');
  const script = joinModules(modules, ENTRY);
  // Functions, because `$` has a meaning in a replacement text.
  const html = read('index.html')
    .replace('<style></style>', () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">${script}</script>`);
  return { html, styleHash: hash(style), scriptHash: hash(script) };
}

/**
 * Joins modules to one: each after those that it imports, without its imports and exports. Imports must
 * not rename, and two modules must not declare the same name: the browser refuses such a script.
 * @param modules JavaScript by the name of the file, without its ending
 */
export function joinModules(modules: ReadonlyMap<string, string>, entry: string): string {
  const joined = new Set<string>();
  const parts: string[] = [];
  const add = (name: string) => {
    if (joined.has(name)) return;
    joined.add(name);
    const source = modules.get(name);
    if (source === undefined) throw new Error(`there is no module ${name}`);
    for (const [, imported = ''] of source.matchAll(IMPORT)) add(imported);
    parts.push(source.replace(IMPORT, '').replace(EXPORT, '').replace(COMMENT, '').trim());
  };
  add(entry);
  const script = `${parts.join('\n')}\n`;
  const unknown = UNKNOWN.exec(script)?.[0];
  if (unknown !== undefined) throw new Error(`cannot be joined: ${unknown}`);
  return script;
}

function withoutTypes(source: string, ending: string): string {
  if (ending !== '.ts') return source;
  // This function of Node prints a warning that it is experimental, which must not appear at each start.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
