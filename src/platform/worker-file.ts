/**
 * The file of a thread's entry: `.ts` in the repository, where Node runs the sources, `.js` in the published
 * package, where they are compiled.
 * @param path of `PATH.worker.ts`, relative to `importer`
 */
export function workerFile(path: string, importer: string): URL {
  return new URL(`${path}.worker${importer.endsWith('.ts') ? '.ts' : '.js'}`, importer);
}
