import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';
import { codeBlock, readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { Served, TOKEN, temporaryDirectory } from '../support/serve.ts';

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

needs('restic', 'curl').test(
  'the README ends its example with the own host in the metrics',
  async () => {
    const served = await Served.start();
    const { token } = await served.addHost('web-1');
    const directory = temporaryDirectory();
    const section = readme.slice(readme.indexOf('Put it in place of'));
    const commands = codeBlock(section, 'sh')
      .replaceAll('http://127.0.0.1:8080', served.url)
      .replace('rmh_...', token)
      .replaceAll('$(cat metrics-token)', TOKEN)
      .replaceAll('/tmp/try-repository', join(directory, 'repository'))
      .replace('-o restic-report', `-o ${directory}/restic-report`)
      .replaceAll('sh restic-report', `sh ${directory}/restic-report`);
    const env = { ...process.env, HOME: directory, RESTIC_REPORT_SPOOL: join(directory, 'spool') };
    const { stdout, stderr } = spawnSync('sh', ['-ec', commands], { env, encoding: 'utf8' });
    expect(stdout, stderr).toMatch(/^rm_host_last_backup_success{.*host="web-1"} 1$/m);
  },
);
