// Compiles the sources to dist, copies the other files of the status page, and writes the commit to dist/commit.txt.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
// The page has types of the browser instead of Node's. It is first, because it also writes the files whose types it imports.
compile('src/page', '--noEmit', 'false', '--rootDir', 'src', '--outDir', 'dist');
compile('tsconfig.build.json');
for (const file of ['index.html', 'page.css'])
  copyFileSync(`src/page/${file}`, `dist/page/${file}`);
writeFileSync('dist/commit.txt', commit());

function compile(project, ...options) {
  const args = ['node_modules/typescript/bin/tsc', '-p', project, ...options];
  execFileSync(process.execPath, args, { stdio: 'inherit' });
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return 'unknown\n';
  }
}
