import { readFileSync } from 'node:fs';

/** This package's version, from its package.json: two levels up, in the sources and in `dist`. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}

/** The commit this was built from: written by the build, or that of the checkout it runs in. */
export function packageCommit(): string {
  return read('../commit.txt') ?? checkedOutCommit() ?? 'unknown';
}

function checkedOutCommit(): string | undefined {
  const head = read('../../.git/HEAD');
  const ref = head?.match(/^ref: (.+)$/)?.[1];
  return ref === undefined ? head : read(`../../.git/${ref}`);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(new URL(path, import.meta.url), 'utf8').trim();
  } catch {
    return undefined;
  }
}
