/**
 * On Node 22 `node:sqlite` prints an ExperimentalWarning, which must not appear at every start. Passing
 * `--disable-warning` to a thread in `execArgv` does not work: `execArgv` replaces the flags of the
 * process, and a thread rejects some of those.
 */
export function silenceExperimentalWarnings(): void {
  const printWarnings = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning') return;
    for (const print of printWarnings) print(warning);
  });
}
