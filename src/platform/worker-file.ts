/**
 * The file of a thread's entry beside `importer`: `.ts` in the repository, where Node runs the sources,
 * `.js` in the published package, where they are compiled.
 */
export function workerFile(name: string, importer: string): URL {
  return new URL(`./${name}.worker${importer.endsWith('.ts') ? '.ts' : '.js'}`, importer);
}
