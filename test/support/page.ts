import { readFileSync } from 'node:fs';

/** The text of a page of the documentation, such as `docs/embedding.md`. */
export function readPage(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** The first code block in that language. */
export function codeBlock(page: string, language: string): string {
  const block = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(page)?.[1];
  if (block === undefined) throw new Error(`no block of ${language}`);
  return block;
}
