import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';

const MODULE = new URL('../../src/platform/file-access.ts', import.meta.url).href;
const DATABASE = new URL('../../src/store-thread/sqlite/database.ts', import.meta.url).href;
const IMPORT = new URL('../../src/store-thread/import/import.ts', import.meta.url).href;
const LOAD = new URL('../../src/config/load.ts', import.meta.url).href;

/** Runs an expression as a user that has no permissions of root. @returns its value */
function asSomebodyElse(imports: string, expression: string): string {
  const program = `${imports}
    if (process.getuid() === 0) process.setuid(65534); // nobody
    let result;
    try { result = String(${expression}); } catch (error) { result = error.message; }
    console.log(result);`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  return stdout.trim();
}

const problem = (path: string, access: 'read' | 'write') =>
  asSomebodyElse(
    `import { permissionProblem } from ${JSON.stringify(MODULE)};`,
    `permissionProblem(${JSON.stringify(path)}, '${access}')`,
  );

function directoryWith(mode: number, file?: string): string {
  const directory = join(temporaryDirectory(), 'private');
  chmodSync(join(directory, '..'), 0o755);
  mkdirSync(directory);
  if (file !== undefined) writeFileSync(join(directory, file), '');
  chmodSync(directory, mode);
  // So that it can be deleted by a user that is not root.
  onTestFinished(() => chmodSync(directory, 0o700));
  return directory;
}

test('names the user, the path that is closed, and its owner', () => {
  const closed = directoryWith(0o000, 'a');
  expect(problem(join(closed, 'a'), 'read')).toMatch(
    new RegExp(`^user \\S+ cannot enter ${closed}, which belongs to \\S+$`),
  );
  const open = directoryWith(0o755, 'a');
  chmodSync(join(open, 'a'), 0o000);
  expect(problem(join(open, 'a'), 'read')).toMatch(/^user \S+ cannot read \S+\/a, which belongs/);
  chmodSync(join(open, 'a'), 0o444);
  expect(problem(join(open, 'a'), 'read')).toBe('undefined');
  expect(problem(join(open, 'a'), 'write')).toMatch(/^user \S+ cannot write \S+\/a, which/);
  expect(problem(join(directoryWith(0o711, 'a'), 'a'), 'read'), 'enter, not list').toBe(
    'undefined',
  );
  expect(problem(join(directoryWith(0o744, 'a'), 'a'), 'read')).toMatch(/cannot enter/);
  const readOnly = directoryWith(0o555);
  expect(problem(join(readOnly, 'new', 'a'), 'write')).toMatch(
    new RegExp(`^user \\S+ cannot create files in ${readOnly}, which`),
  );
  expect(problem(join(readOnly, 'new'), 'read'), 'it does not exist').toBe('undefined');
  expect(problem(join(open, 'a', 'b'), 'write'), 'the parent is a file').toBe('undefined');
  symlinkSync('loop', join(open, 'loop'));
  for (const path of ['\0', 'x'.repeat(5_000), join(open, 'loop', 'a'), join(open, 'loop'), '']) {
    expect(problem(path, 'read'), JSON.stringify(path.slice(0, 60))).toBe('undefined');
  }
});

test.each(['create', 'must_exist'])(
  'is what the database says of a directory of others (%s)',
  (missing) => {
    const dataDir = directoryWith(0o700, 'fleet.db');
    chmodSync(dataDir, 0o000);
    const text = asSomebodyElse(
      `import { openDatabase } from ${JSON.stringify(DATABASE)};`,
      `openDatabase(${JSON.stringify(dataDir)}, '${missing}')`,
    );
    expect(text).toMatch(new RegExp(`user \\S+ cannot enter ${dataDir}, which belongs to \\S+$`));
  },
);

test('is what an import says of a data directory of others', () => {
  const dataDir = directoryWith(0o700, 'fleet.db');
  chmodSync(dataDir, 0o000);
  const text = asSomebodyElse(
    `import { importFrom } from ${JSON.stringify(IMPORT)};`,
    `importFrom(${JSON.stringify(dataDir)}, 'postgres://db/fleet')`,
  );
  expect(text).toMatch(new RegExp(`^user \\S+ cannot enter ${dataDir}, which belongs to \\S+$`));
});

test('is what the settings say of a token file and a config file of others', () => {
  const directory = directoryWith(0o755, 'token');
  const file = join(directory, 'token');
  chmodSync(file, 0o000);
  const text = asSomebodyElse(
    `import { loadSettings } from ${JSON.stringify(LOAD)};`,
    `JSON.stringify(loadSettings({ RM_TLS_CERT_FILE: ${JSON.stringify(file)}, RM_TLS_KEY_FILE: ${JSON.stringify(file)}, RM_METRICS_TOKEN_FILE: ${JSON.stringify(file)} }, ${JSON.stringify(file)}))`,
  );
  const lines = text.split('\n');
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line).toMatch(/cannot be read: user \S+ cannot read/);
});
