import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Compiles the sources and the benches to JavaScript, as an installed package runs, so that Node's
 * TypeScript compiler is not in memory. The files exist as long as `use` runs. They are in a place
 * from which packages can be imported.
 */
export async function withCompiled<T>(use: (serve: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(ROOT, 'node_modules/.bench-'));
  try {
    const config = {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { noEmit: false, rootDir: ROOT, outDir: directory },
      include: [join(ROOT, 'src'), join(ROOT, 'bench')],
      exclude: [],
    };
    const file = join(directory, 'tsconfig.json');
    writeFileSync(file, JSON.stringify(config));
    copyFileSync(join(ROOT, 'package.json'), join(directory, 'package.json'));
    execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', file]);
    return await use(join(directory, 'bench/servers/serve.js'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
