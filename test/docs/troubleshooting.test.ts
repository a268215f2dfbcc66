import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EVENTS } from '../../src/platform/event-log.ts';
import { FAMILIES } from '../../src/shared/families.ts';
import { SERVER_FAMILIES } from '../../src/shared/server-families.ts';
import { readPage } from '../support/page.ts';
import { finished, report } from '../support/reports.ts';
import { cli, Served } from '../support/serve.ts';

const page = readPage('docs/troubleshooting.md');
const root = new URL('../../', import.meta.url);
const sources = ['src', 'scripts'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cjs)$/.test(name))
    .map((name) => readFileSync(new URL(`${folder}/${name}`, root), 'utf8')),
);
/** The texts of messages are assembled from literals. */
const program = sources.join('\n').replaceAll(/\$\{[^}]*\}/g, '…');

/** Messages of `env` and of SQLite: https://www.sqlite.org/rescode.html */
const OF_OTHERS = [
  "env: 'node': No such file or directory",
  'database or disk is full',
  'database is locked',
  'disk I/O error',
  'database disk image is malformed',
];

/** The first cells of the tables whose first column is called `message`. */
function messages(): string[] {
  const tables = page.matchAll(/^\| message \|.*\n\|[-| ]+\n((?:\|.*\n)+)/gm);
  const cells = [...tables].flatMap(([, rows = '']) =>
    rows
      .trimEnd()
      .split('\n')
      .map((row) => row.split('|')[1] ?? ''),
  );
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text));
}

test.each(messages())('the message %s exists', (message) => {
  if (OF_OTHERS.includes(message)) return;
  const fragments = message
    .split(/[…;]|RM_|config\.yaml|user X|Y$|data_dir/)
    .map((fragment) => fragment.trim().replace(/^[:' ]+/, ''))
    .filter((fragment) => fragment.length > 5);
  expect(fragments.length).toBeGreaterThan(0);
  for (const fragment of fragments) expect(program.includes(fragment), fragment).toBe(true);
});

test('every event and family on the page exists', () => {
  const events = [...page.matchAll(/`((?:agent|api|scrape|store)_[a-z_]+)`/g)].map(
    ([, name]) => name,
  );
  expect(events.length).toBeGreaterThan(5);
  const settings = ['scrape_timeout', 'agent_threads'];
  for (const event of events) expect([...EVENTS, ...settings]).toContain(event);
  const known = [...FAMILIES, ...SERVER_FAMILIES].map(({ name }) => name);
  const families = [...page.matchAll(/\b((?:rm|process|nodejs)_[a-z0-9_]+)/g)]
    .map(([, name = '']) => name.replace(/_(sum|count|bucket)$/, ''))
    .filter((name) => name !== 'rm_');
  expect(families.length).toBeGreaterThan(5);
  for (const family of families) expect(known).toContain(family);
});

test('the command of the page shows why a backup failed', async () => {
  const served = await Served.start();
  const { host_id: hostId, token } = await served.addHost('web-1');
  const failed = { status: 'failed', exit_code: 12, error: 'wrong password' };
  await report(served.url, token, [finished('good'), finished('bad', failed)]);
  const [, command = ''] = /restic-manager (hosts show HOST_ID) --config/.exec(page) ?? [];
  const args = command.replace('HOST_ID', hostId).split(' ');
  const { code, stdout } = await cli(args, { RM_DATA_DIR: served.dataDir });
  expect(code).toBe(0);
  expect(stdout).toMatch(/ backup +failed +12 +bad\n {4}wrong password\n/);
});
