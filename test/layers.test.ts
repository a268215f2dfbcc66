import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';

/*
 * The table of folders in docs/architecture.md, checked by reading the imports of every file in src.
 */

interface Folder {
  /** A folder in src, or a file beside the folders. */
  readonly name: string;
  readonly level: number;
  readonly threads: readonly string[];
}

const PAGE = readFileSync(new URL('../docs/architecture.md', import.meta.url), 'utf8');
const FOLDERS: readonly Folder[] = [
  ...PAGE.matchAll(/^\| (\d+) \| `([^`]+)` \| ([a-z, ]+) \|/gm),
].map(([, level, name = '', threads = '']) => ({
  name,
  level: Number(level),
  threads: threads.split(', '),
}));

/** What somebody else's control plane gets when it embeds the endpoint, in types and at run time. */
const EMBEDDED = [
  'index.ts',
  'embedding.ts',
  'loop/scrape',
  'loop/doors',
  'loop/http',
  'render-thread',
  'access',
  'shared',
  'contract',
  'platform',
  'errors.ts',
];

/** The thread that each entry starts. The main thread has none: what it loads is loaded by `cli.ts`. */
const THREAD_OF_ENTRY: Readonly<Record<string, string>> = {
  'loop/agent-loop.worker.ts': 'loop',
  'store-thread/store.worker.ts': 'store',
  'connection-thread/connection.worker.ts': 'connection',
  'query-thread/query.worker.ts': 'query',
  'render-thread/render.worker.ts': 'render',
  'demo/agents.worker.ts': 'demo',
};

/** The one file that loads a package by a name that is not written in an import. */
const UWS = 'platform/uws.ts';

const MAX_FILES_A_PACKAGE = 2;

interface Import {
  /** The file that is imported, relative to src, or the name of a package. */
  readonly to: string;
  readonly outside: boolean;
  /** Whether it is gone at run time: `import type`, but not `import { type … }`, which still loads. */
  readonly typeOnly: boolean;
}

interface Source {
  readonly imports: readonly Import[];
  /** The threads that it starts, by `workerFile(PATH, import.meta.url)`. */
  readonly starts: readonly string[];
  readonly text: string;
}

const FROM = /^(import|export)\s+(type\s)?(?:(?!^(?:import|export)\b)[^;])*?\bfrom '([^']+)';$/gm;
const SIDE_EFFECT = /^import '([^']+)';$/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'/g;
const STARTS = /\bworkerFile\('([^']+)'/g;
/** Ways to load code that the patterns above do not see. */
const HIDDEN = /\bimport\((?!\s*')|\bcreateRequire\b|\brequire\(|\bgetBuiltinModule\b/;

function parse(file: string, text: string): Source {
  const resolve = (specifier: string, typeOnly: boolean): Import => {
    const outside = !specifier.startsWith('.');
    const to = outside ? packageName(specifier) : posix.join(posix.dirname(file), specifier);
    return { to, outside, typeOnly };
  };
  return {
    imports: [
      ...[...text.matchAll(FROM)].map(([, , type, from = '']) => resolve(from, type !== undefined)),
      ...[...text.matchAll(SIDE_EFFECT)].map(([, from = '']) => resolve(from, false)),
      ...[...text.matchAll(DYNAMIC)].map(([, from = '']) => resolve(from, false)),
    ],
    starts: [...text.matchAll(STARTS)].map(([, name = '']) => name),
    text,
  };
}

function packageName(specifier: string): string {
  if (isBuiltin(specifier)) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const SRC = new URL('../src/', import.meta.url);
const sources = new Map(
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.[cm]?[jt]sx?$/.test(file))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
    .map((file) => [file, parse(file, readFileSync(new URL(file, SRC), 'utf8'))]),
);
const files = [...sources.keys()];
const threadEntries = files.filter((file) => file.endsWith('.worker.ts'));
const entryPoints = ['index.ts', 'cli.ts', ...files.filter((file) => unit(file) === 'commands')];

/** The entries of the threads that a file starts. */
function startedBy(file: string): string[] {
  const starts = sources.get(file)?.starts ?? [];
  return starts.map((path) => posix.join(posix.dirname(file), `${path}.worker.ts`));
}

function importsOf(file: string): readonly Import[] {
  return sources.get(file)?.imports ?? [];
}

/** The folder of the table that a file is in, the innermost one. */
function folderOf(file: string): Folder | undefined {
  return FOLDERS.filter(({ name }) => file === name || file.startsWith(`${name}/`))
    .sort((a, b) => b.name.length - a.name.length)
    .at(0);
}

/** `loop/scrape` for `loop/scrape/endpoint.ts`. */
function unit(file: string): string {
  return folderOf(file)?.name ?? '';
}

function level(file: string): number {
  return folderOf(file)?.level ?? -1;
}

/** Every edge between two files of src that breaks the rule, as text. */
function edges(breaks: (from: string, to: string, typeOnly: boolean) => string | undefined) {
  return files.flatMap((from) =>
    importsOf(from)
      .filter(({ outside }) => !outside)
      .flatMap(({ to, typeOnly }) => {
        const why = breaks(from, to, typeOnly);
        return why === undefined ? [] : [`src/${from} imports src/${to}: ${why}`];
      }),
  );
}

/** The shortest ways by which `start` reaches files and packages, each with the way's every step. */
function reach(start: string, follow: (edge: Import) => boolean): Map<string, string> {
  const ways = new Map([[start, start]]);
  for (const [at, way] of ways) {
    for (const edge of importsOf(at)) {
      if (follow(edge) && !ways.has(edge.to)) ways.set(edge.to, `${way} → ${edge.to}`);
    }
  }
  return ways;
}

const atRunTime = ({ typeOnly }: Import) => !typeOnly;

/** How those of `starts` that can reach `target` at run time do so. */
function ways(starts: readonly string[], target: string): string[] {
  return starts.flatMap((start) => reach(start, atRunTime).get(target) ?? []);
}

/** The circles of imports, each told once, from its first file in the alphabet. */
function circles(): string[] {
  return files.flatMap((first) => {
    const later = ({ to, outside }: Import) => !outside && to >= first;
    const back = [...reach(first, later)].find(([file]) =>
      importsOf(file).some(({ to }) => to === first),
    );
    return back === undefined ? [] : [`${back[1]} → ${first}`];
  });
}

describe('reading imports', () => {
  it.each<[string, Partial<Import>[]]>([
    ["import { a } from './b.ts';", [{ to: 'x/b.ts', outside: false, typeOnly: false }]],
    ["import {\n  a,\n  type B,\n} from '../b.ts';", [{ to: 'b.ts', typeOnly: false }]],
    ["import { type A } from './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    ["import type { A } from './b.ts';", [{ to: 'x/b.ts', typeOnly: true }]],
    ["import type {\n  A,\n} from './b.ts';", [{ to: 'x/b.ts', typeOnly: true }]],
    ["import type * as B from 'b';", [{ to: 'b', outside: true, typeOnly: true }]],
    ["import b, { type C } from 'b/c.js';", [{ to: 'b', outside: true, typeOnly: false }]],
    ["import { c } from '@a/b/c';", [{ to: '@a/b', outside: true }]],
    ["import { join } from 'node:path/posix';", [{ to: 'node:path/posix', outside: true }]],
    ["export { a } from './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    ["export type { A } from './b.ts';", [{ to: 'x/b.ts', typeOnly: true }]],
    ["export * from './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    ["import './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    ["const b = await import('./b.ts');", [{ to: 'x/b.ts', typeOnly: false }]],
    [
      "import { a } from './a.ts';\nimport type { B } from './b.ts';",
      [
        { to: 'x/a.ts', typeOnly: false },
        { to: 'x/b.ts', typeOnly: true },
      ],
    ],
    ["export type A = string;\nexport { b } from './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    ["export type A = 'a'\nimport { b } from './b.ts';", [{ to: 'x/b.ts', typeOnly: false }]],
    [" * import { a } from './b.ts';", []],
    ["// import { a } from './b.ts';", []],
  ])('%j', (text, imports) => {
    expect(parse('x/y.ts', text).imports).toEqual(
      imports.map((edge) => expect.objectContaining(edge)),
    );
  });

  it('misses none: every one that a file has is read', () => {
    const missed = files.filter((file) => {
      const { text, imports } = sources.get(file) ?? { text: '', imports: [] };
      return (
        (text.match(/\bfrom '[^']+';$|^import '|\bimport\(/gm) ?? []).length !== imports.length
      );
    });
    expect(missed).toEqual([]);
  });

  it('leads to files that are there, written as they are called', () => {
    expect(edges((_, to) => (sources.has(to) ? undefined : 'there is no such file'))).toEqual([]);
  });

  it('is not got round: nothing is loaded by a name that the imports do not show', () => {
    const hiding = files.filter((file) => HIDDEN.test(sources.get(file)?.text ?? ''));
    expect(hiding).toEqual([UWS]);
  });
});

describe('layers', () => {
  it('every file is in a folder of the table, and every folder has files', () => {
    expect(files.filter((file) => folderOf(file) === undefined)).toEqual([]);
    expect(FOLDERS.filter(({ name }) => !files.some((file) => unit(file) === name))).toEqual([]);
    expect(FOLDERS.length).toBeGreaterThan(10);
  });

  it('imports go down or stay within their folder', () => {
    const wrong = edges((from, to) => {
      if (unit(from) === unit(to) || level(to) > level(from)) return undefined;
      return level(to) === level(from)
        ? `${unit(from)} and ${unit(to)} are of one level and do not know each other`
        : `${unit(to)} is above ${unit(from)}`;
    });
    expect(wrong).toEqual([]);
  });

  it('imports go in no circle, not even those of types', () => {
    expect(circles()).toEqual([]);
  });

  it('who embeds the endpoint gets no store, no agents and no settings', () => {
    const everywhere = ({ outside }: Import) => !outside;
    const foreign = [...reach('index.ts', everywhere)]
      .filter(([file]) => !EMBEDDED.includes(unit(file)))
      .map(([, way]) => way);
    expect(foreign).toEqual([]);
  });
});

const STORE = 'store-thread/store.worker.ts';
const QUERY = 'query-thread/query.worker.ts';

describe('threads', () => {
  it('each has its name in this test', () => {
    expect(Object.keys(THREAD_OF_ENTRY).sort()).toEqual(threadEntries);
  });

  it.each(threadEntries)('src/%s loads only what may run in its thread', (entry) => {
    const thread = THREAD_OF_ENTRY[entry] ?? '';
    const foreign = [...reach(entry, ({ outside, typeOnly }) => !outside && !typeOnly)]
      .filter(([file]) => !folderOf(file)?.threads.some((name) => [thread, 'any'].includes(name)))
      .map(([, way]) => way);
    expect(foreign).toEqual([]);
  });

  it('the page, which runs in a browser, loads only its own files, and nothing loads them', () => {
    const wrong = edges((from, to, typeOnly) =>
      !typeOnly && (unit(from) === 'page') !== (unit(to) === 'page')
        ? 'one of them is for a browser'
        : undefined,
    );
    const packages = files
      .filter((file) => unit(file) === 'page')
      .flatMap((file) => importsOf(file).filter(({ outside }) => outside));
    expect([...wrong, ...packages]).toEqual([]);
  });

  it('what runs only in the main thread is loaded by no other', () => {
    const [, list = ''] =
      /run only in the main thread: ([^.]*\.ts[^:]*?)\. All others/s.exec(PAGE) ?? [];
    const mainOnly = [...list.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file);
    expect(mainOnly.length).toBeGreaterThan(3);
    for (const file of mainOnly) {
      expect(files).toContain(file);
      expect(ways(threadEntries, file)).toEqual([]);
    }
  });

  it.each(threadEntries)('src/%s is started by one file, which is no thread entry', (entry) => {
    const starters = files.filter((file) => startedBy(file).includes(entry));
    expect(starters, 'its starters').toHaveLength(1);
    expect(starters.filter((file) => file.endsWith('.worker.ts'))).toEqual([]);
  });

  it('a thread is started by the name of an entry', () => {
    const wrong = files.flatMap((file) =>
      startedBy(file)
        .filter((to) => !sources.has(to))
        .map((to) => `src/${file} starts src/${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('a thread is started by nothing but workerFile', () => {
    const starting = files.filter((file) => {
      const { text, starts } = sources.get(file) ?? { text: '', starts: [] };
      return (text.match(/\bnew (?:Worker|Piscina)\(/g) ?? []).length !== starts.length;
    });
    expect(starting).toEqual([]);
  });

  it("a thread's entry is imported by nobody, except for its types", () => {
    const wrong = edges((_, to, typeOnly) =>
      to.endsWith('.worker.ts') && !typeOnly
        ? 'a thread is started, not imported; its types by `import type`'
        : undefined,
    );
    expect(wrong).toEqual([]);
  });

  it('SQLite is reached from the store thread and the query thread, and from nowhere else', () => {
    expect(ways([STORE, QUERY], 'node:sqlite')).toHaveLength(2);
    const others = [...threadEntries, ...entryPoints].filter(
      (entry) => ![STORE, QUERY].includes(entry),
    );
    expect(ways(others, 'node:sqlite')).toEqual([]);
  });

  it('uWebSockets.js is reached neither from the store, nor from the render thread', () => {
    expect(ways(['cli.ts'], UWS)).toHaveLength(1);
    expect(ways([STORE, QUERY, 'render-thread/render.worker.ts'], UWS)).toEqual([]);
  });

  it('the embedded endpoint works without uWebSockets.js of this package', () => {
    // `index.ts` exports `uws()`, which loads it only when it is called.
    expect(ways(['embedding.ts'], UWS)).toEqual([]);
  });
});

describe('outside packages', () => {
  const outside = files.flatMap((file) =>
    importsOf(file)
      .filter((edge) => edge.outside && !isBuiltin(edge.to))
      .map(({ to }) => ({ file, name: to })),
  );
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

  it.each([...new Set(outside.map(({ name }) => name))].sort())(
    '%s enters through one or two files, and is installed with the package',
    (name) => {
      const through = new Set(outside.filter((edge) => edge.name === name).map(({ file }) => file));
      expect([...through].slice(MAX_FILES_A_PACKAGE)).toEqual([]);
      expect(Object.keys(manifest.dependencies)).toContain(name);
    },
  );

  it('shared memory and rules have none', () => {
    expect(
      outside
        .filter(({ file }) => ['shared', 'store-thread/rules'].includes(unit(file)))
        .map(({ file, name }) => `src/${file} imports ${name}`),
    ).toEqual([]);
  });
});
