import type { Reporter, TestModule } from 'vitest/node';

/** Prints how many tests were skipped for which reason. The default reporter prints only their number. */
export class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = test.meta().skippedBecause;
        if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, count] of counts) console.log(`${count} skipped: ${reason}`);
  }
}
