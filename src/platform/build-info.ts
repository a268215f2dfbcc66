import { readFileSync } from 'node:fs';

/**
 * The version in the package.json of this package. That file is two levels up, both from the
 * sources and from `dist`.
 */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}

/** The commit of this build: from the file that the build writes, else from the git checkout. */
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
