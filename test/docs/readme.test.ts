import { readdirSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';
import { readPage } from '../support/page.ts';

const readme = readPage('README.md');

test("CI runs the README's test command to the letter", () => {
  const command = readme
    .split('\n')
    .find((line) => line.startsWith('npx') && line.includes('npm test'));
  expect(command).toBeDefined();
  expect(readPage('.ci/run')).toContain(`test_command() { ${command}; }`);
});

test('the README lists every setting with its variable', () => {
  for (const [key, { variable }] of Object.entries(SETTINGS)) {
    expect(readme, variable).toMatch(new RegExp(`\\|.*\`${variable}\`.*\\|.*\`${key}\`.*\\|`));
  }
});

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(new URL('../../docs/', import.meta.url))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

test.each(PAGES)('every link of %s leads somewhere', (page) => {
  for (const [, path = '', anchor] of readPage(page).matchAll(/\]\(([^)#\s]*)#?([^)\s]*)\)/g)) {
    if (path.startsWith('http')) continue;
    const target = path === '' ? page : posix.join(posix.dirname(page), path);
    const text = readPage(target);
    if (anchor) expect(anchors(text), `${target}#${anchor}`).toContain(anchor);
  }
});

/** Of the headings, as GitHub makes them. */
function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
