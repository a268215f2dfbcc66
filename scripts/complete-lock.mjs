// Completes package-lock.json so that `npm ci` works everywhere.
//
// A registry may lack some platform packages of an optional dependency. npm then leaves them out of the
// lock, and `npm ci` of npm 11 and later fails ("Missing: … from lock file"). A stub entry with the
// version and the platforms is enough for npm. Run this after each change of dependencies.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const PLATFORMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const PROCESSORS = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'x64',
  'wasm32',
];

const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const wanted = version.replace(/^[\^~]/, '');
    const found = path === '' ? wanted : lockedVersion(path, name);
    // Any version that npm found satisfies a range. An exact version must match.
    if (found === wanted || (found !== undefined && version !== wanted)) continue;
    const words = name.split(/[-/]/);
    const place = found === undefined ? '' : `${path}/`;
    lock.packages[`${place}node_modules/${name}`] = {
      version: wanted,
      dev: entry.dev,
      optional: true,
      os: PLATFORMS.filter((os) => words.includes(os)),
      cpu: PROCESSORS.filter(
        (cpu) => words.includes(cpu) || (cpu === 'arm' && words.includes('armv7')),
      ),
      engines: { node: '>= 10' },
    };
    added.push(name);
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(
  added.length === 0
    ? 'package-lock.json is complete'
    : `added ${added.length} stub entries:\n  ${added.join('\n  ')}`,
);

/** The version that a dependent gets: npm looks beside the dependent, then further up. */
function lockedVersion(path, name) {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/node_modules/'))) {
    const beside = lock.packages[`${at}/node_modules/${name}`];
    if (beside) return beside.version;
    if (!at.includes('/node_modules/')) return lock.packages[`node_modules/${name}`]?.version;
  }
}
