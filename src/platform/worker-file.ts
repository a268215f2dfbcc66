/**
 * Returns the URL of the entry file of a thread. It is a `.ts` file in the repository, where Node
 * runs the sources, and a `.js` file in the published package, which is compiled.
 * @param path of `PATH.worker.ts`, without that ending, relative to `importer`
 * @param importer `import.meta.url` of the caller
 */
export function workerFile(path: string, importer: string): URL {
  return new URL(`${path}.worker${importer.endsWith('.ts') ? '.ts' : '.js'}`, importer);
}
