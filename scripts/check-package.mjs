// Packs the package and uses it as its users do: publint, are-the-types-wrong, and for each package manager an
// empty project that installs the tarball, compiles the program of docs/embedding.md and runs it.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The program of docs/embedding.md. */
const [, PROGRAM] = /^```ts\n(.*?)^```$/ms.exec(readFileSync('docs/embedding.md', 'utf8')) ?? [];

/**
 * Commands that add packages to an empty project. yarn works as well, but it needs a registry that has the builds of
 * uWebSockets.js for all platforms, and some mirrors do not.
 */
const PACKAGE_MANAGERS = [
  ['npm', 'install', '--silent', '--no-audit'],
  ['npx', '--yes', 'pnpm@10', 'add', '--silent'],
];

/** Every dependency that the package brings is pinned by its integrity, and nothing else is in the list. */
function checkShrinkwrap(tarball) {
  const read = ['-xzOf', tarball, 'package/npm-shrinkwrap.json'];
  const { packages } = JSON.parse(execFileSync('tar', read, { encoding: 'utf8' }));
  const { '': root, ...entries } = packages;
  const names = Object.keys(root.dependencies);
  for (const name of names) {
    if (!entries[`node_modules/${name}`]?.integrity) throw new Error(`${name} is not pinned`);
  }
  const development = Object.entries(entries).filter(([, entry]) => entry.dev);
  if (development.length > 0) throw new Error(`for development only: ${development[0][0]}`);
  console.log(`npm-shrinkwrap.json pins ${names.length} dependencies and what they need\n`);
}

// An outer `npx -c` passes its options on in these variables. The npm started here must not get them.
const { npm_config_call: _, npm_config_package: __, ...env } = process.env;

const run = (command, args, options = {}) => {
  console.log(`$ ${command} ${args.join(' ')}`);
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
    ...options,
  });
};

const directory = mkdtempSync(join(tmpdir(), 'restic-manager-package-'));
try {
  const packed = run('npm', ['pack', '--silent', '--pack-destination', directory])
    .trim()
    .split('\n');
  const tarball = join(directory, packed.at(-1));
  checkShrinkwrap(tarball);
  console.log(run('node_modules/.bin/publint', [tarball]));
  console.log(run('node_modules/.bin/attw', ['--profile', 'esm-only', tarball]));

  for (const add of PACKAGE_MANAGERS) await useWith(add, tarball, directory);
  const { bin } = JSON.parse(readFileSync('package.json', 'utf8'));
  const installed = { cwd: join(directory, 'npm') };
  for (const command of Object.keys(bin)) {
    console.log(run(`node_modules/.bin/${command}`, ['--version'], installed));
  }
  // npx runs the command that is named like the package.
  console.log(run('npx', ['restic-manager-metrics', '--version'], installed));
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** Installs the package in an empty project, compiles the program strictly, runs it and scrapes it. */
async function useWith([program, ...args], tarball, directory) {
  const name = program === 'npx' ? args[1].split('@')[0] : program;
  const project = join(directory, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  writeFileSync(join(project, 'control-plane.ts'), PROGRAM);
  run(program, [...args, tarball, '@types/node@22'], { cwd: project });
  const flags = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node',
  ];
  run(
    process.execPath,
    [resolve('node_modules/typescript/bin/tsc'), ...flags, 'control-plane.ts'],
    {
      cwd: project,
    },
  );
  const child = spawn(process.execPath, ['control-plane.ts'], {
    cwd: project,
    env: { ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await new Promise((resolve, reject) => {
      child.stdout.once('data', (line) => resolve(String(line).trim()));
      child.once('exit', (code) => reject(new Error(`the program ended with ${code}`)));
    });
    const response = await fetch(url, { headers: { Authorization: 'Bearer change-me' } });
    const row = (await response.text()).match(/^rm_host_agent_online\{.+ 1$/m)?.[0];
    if (!row) throw new Error(`no row of the host: ${response.status}`);
    console.log(`with ${name}: ${row}\n`);
  } finally {
    child.kill();
  }
}
