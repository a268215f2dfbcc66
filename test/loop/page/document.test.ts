import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { joinModules, readPageDocument } from '../../../src/loop/page/document.ts';

const modules = (sources: Record<string, string>) => new Map(Object.entries(sources));

test('a module is joined after those that it imports, once', () => {
  const script = joinModules(
    modules({
      main: "import { a } from './a.ts';\nimport {\n  b,\n} from './b.ts';\nresult = a + b;\n",
      a: "import { b } from './b.ts';\nexport const a = b * 2;\n",
      b: '/** One. */\nexport const b = 1;\n',
      unused: 'throw new Error();\n',
    }),
    'main',
  );
  expect(script).toBe('const b = 1;\nconst a = b * 2;\nresult = a + b;\n');
});

test.each([
  ['a default export', 'export default 1;\n'],
  ['an import of a package', "import { a } from 'a';\n"],
  ['a list of exports', 'const a = 1;\nexport { a };\n'],
])('%s cannot be joined, and is not lost in silence', (_, source) => {
  expect(() => joinModules(modules({ main: source }), 'main')).toThrow('cannot be joined');
});

test('a module that does not exist is named', () => {
  const main = "import { a } from './gone.ts';\n";
  expect(() => joinModules(modules({ main }), 'main')).toThrow('no module gone');
});

test('the page is a valid script, and the hashes are those of its parts', () => {
  const { html, styleHash, scriptHash } = readPageDocument();
  const hash = (text = '') => `sha256-${createHash('sha256').update(text).digest('base64')}`;
  const script = /<script type="module">([\s\S]*?)<\/script>/.exec(html)?.[1];
  expect(scriptHash).toBe(hash(script));
  expect(styleHash).toBe(hash(/<style>([\s\S]*?)<\/style>/.exec(html)?.[1]));
  // Two modules that declare the same name would be an error of syntax.
  expect(() => new Script(script ?? 'missing(')).not.toThrow();
  expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  expect(html).not.toContain('innerHTML');
});

test('the warning of Node about an experimental function is not printed, and later warnings are', () => {
  const warned: unknown[] = [];
  const { emitWarning } = process;
  process.emitWarning = (...warning: unknown[]) => void warned.push(warning[0]);
  onTestFinished(() => {
    process.emitWarning = emitWarning;
  });
  readPageDocument();
  expect(warned).toEqual([]);
  process.emitWarning('of somebody else');
  expect(warned).toEqual(['of somebody else']);
});
