import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { HOST_STATES } from '../../src/contract/host-state.ts';
import { DEFAULT_LIMIT, MAX_LIMIT, MAX_SEARCH } from '../../src/contract/queries.ts';
import { API_REFUSALS } from '../../src/shared/server-stats.ts';
import { readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import { Served, TOKEN } from '../support/serve.ts';

const page = readPage('docs/api.md');

/** The blocks of a section, in this language. */
function blocks(heading: string, language: string): string[] {
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, block = '']) => block,
  );
}

/** The names in a value at all depths. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).map(([name, part]) => [name, shape(part)]);
}

test('lists the states in their order', () => {
  const [, section = ''] = page.split('\n## States\n');
  const rows = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  expect(rows.slice(0, HOST_STATES.length)).toEqual(HOST_STATES);
});

test('explains every refusal, and has the limits of the code', () => {
  for (const reason of API_REFUSALS)
    expect(page).toMatch(new RegExp(`^\\| \`${reason}\` \\|`, 'm'));
  expect(page).toContain(
    `number of hosts in the answer: 1 to ${MAX_LIMIT}, default ${DEFAULT_LIMIT}`,
  );
  expect(page).toContain(`in any case; at most ${MAX_SEARCH} characters`);
});

needs('curl', 'jq').test(
  'its commands work, and its answers have the shape of the real ones',
  async () => {
    const served = await Served.start();
    const { host_id: hostId, token } = await served.addHost('db-1');
    const failed = { status: 'failed', exit_code: 12, error: 'wrong password' };
    await report(served.url, token, [finished('bad', failed)]);
    const run = (command: string) => {
      const script = `URL=${served.url}; AUTH="Authorization: Bearer ${TOKEN}"\n${command}`;
      const { stdout, stderr } = spawnSync('sh', ['-ec', script], { encoding: 'utf8' });
      expect(stderr).toBe('');
      return stdout;
    };
    for (const heading of ['The fleet', 'Hosts', 'One host']) {
      const [command = ''] = blocks(heading, 'sh');
      const [example = ''] = blocks(heading, 'json');
      const answer = run(command.replace('01JD8Z5N3V9Q4R7T2W6X8Y0A1B', hostId));
      expect(shape(JSON.parse(answer)), heading).toEqual(shape(JSON.parse(example)));
    }
    const [script = ''] = blocks('In a script', 'sh');
    expect(run(script)).toBe('db-1\twrong password\n');
    const [error = ''] = blocks('Errors', 'json');
    const bad = spawnSync('curl', [
      '-sS',
      '-H',
      `Authorization: Bearer ${TOKEN}`,
      `${served.url}/api/hosts?limit=0`,
    ]);
    expect(JSON.parse(String(bad.stdout))).toEqual(JSON.parse(error));
  },
);
