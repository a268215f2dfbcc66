import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');

test("CI runs the README's test command to the letter", () => {
  const command = readme
    .split('\n')
    .find((line) => line.startsWith('npx') && line.includes('npm test'));
  expect(command).toBeDefined();
  expect(read('.ci/run')).toContain(`test_command() { ${command}; }`);
});

test('the README lists every setting with its variable', () => {
  for (const [key, { variable }] of Object.entries(SETTINGS)) {
    expect(readme, variable).toMatch(new RegExp(`\\|.*\`${variable}\`.*\\|.*\`${key}\`.*\\|`));
  }
});

test('every page the README links to is there', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, path]) => path ?? '');
  for (const path of links.filter((link) => !link.startsWith('http'))) {
    expect(() => read(path), path).not.toThrow();
  }
});
