// Writes npm-shrinkwrap.json for the tarball: package-lock.json without what only development needs.
//
// npm 10 and 11 install exactly these dependencies, checked by their integrity, when the package comes from a
// registry. They would install development dependencies as well if the file named them. npm 12 ignores the file.
// It exists only while npm packs: `npm ci` in a checkout would use it in place of package-lock.json.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

const target = new URL('../npm-shrinkwrap.json', import.meta.url);

if (process.argv.includes('--remove')) {
  rmSync(target, { force: true });
} else {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
  const { devDependencies: _, ...root } = lock.packages[''];
  const needed = Object.entries(lock.packages).filter(
    ([path, entry]) => path !== '' && !entry.dev && !entry.devOptional,
  );
  lock.packages = { '': root, ...Object.fromEntries(needed) };
  writeFileSync(target, `${JSON.stringify(lock, null, 2)}\n`);
}
