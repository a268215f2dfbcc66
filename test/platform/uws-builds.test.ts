import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { explainNoBuild, type System } from '../../src/platform/uws-builds.ts';

const debian12: System = { node: '22.23.3', platform: 'linux', arch: 'x64', glibc: '2.36' };

/** What the two builds say where Node finds no file for it, and where the system is too old. */
const NOT_FOUND =
  "uWebSockets.js: This version … supports only\n\nError: Cannot find module '@uwsjs/x'";
const TOO_OLD = `uWebSockets.js: This version … supports only\n\nError: /lib/x86_64-linux-gnu/libc.so.6: version \`GLIBC_2.38' not found`;

const first = (system: Partial<System>, ...failures: string[]) =>
  explainNoBuild({ ...debian12, ...system }, failures);

test.each([
  [
    'a Node without a build',
    { node: '25.1.0' },
    NOT_FOUND,
    /no build for Node 25\.1\.0; use Node 22, 24 or 26$/,
  ],
  ['a Node without a build on an old system', { node: '23.1.0' }, TOO_OLD, /no build for Node 23/],
  [
    'a processor without a build',
    { arch: 'riscv64' },
    NOT_FOUND,
    /for riscv64; use .* x64 or arm64$/,
  ],
  ['a system without glibc', { glibc: undefined }, NOT_FOUND, /without glibc, such as Alpine; use/],
  [
    'a system that is too old for this Node',
    { node: '24.2.0' },
    TOO_OLD,
    /too old: the build for Node 24 needs glibc 2\.38, and this system has 2\.36; use Node 22, or a newer system/,
  ],
  [
    'a system that is too old, and on which the older build for Node 22 is missing',
    {},
    TOO_OLD,
    /the build for Node 22 is not installed.* with Node 22, run npm ci/,
  ],
  [
    'a build that was installed by another Node',
    { node: '24.2.0', glibc: '2.41' },
    NOT_FOUND,
    /the build for Node 24 is not installed.* with Node 24, run npm ci/,
  ],
  [
    'a Mac with a build for another Node',
    { platform: 'darwin', glibc: undefined },
    NOT_FOUND,
    /the build for Node 22 is not installed.* with Node 22, run npm ci/,
  ],
] as const)('%s is named, with what to do', (_, system, failure, expected) => {
  expect(first(system, failure, NOT_FOUND)).toMatch(expected);
});

test('every Node that package.json admits has a build', () => {
  const majors = packageJson.engines.node.split(' || ').map((range) => range.replace('^', ''));
  expect(majors.length).toBeGreaterThan(0);
  for (const node of majors) {
    expect(first({ node, glibc: '2.41' }, NOT_FOUND)).not.toMatch(/there is no build/);
  }
});
