import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { SkipReporter } from './test/support/skip-reporter.ts';

const shared = {
  // Many tests start processes and threads of their own; on a busy machine they need patience.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  pool: 'forks',
} as const;

/** Attacks, during which it is measured how long others wait: one at a time, and nothing beside them. */
const ATTACKS = 'test/hostile/{embedded,floods,reports,shutdown,sockets,tokens}.test.ts';

export default defineConfig({
  test: {
    // More than there are cores: most tests wait for processes of their own, and many for a time to pass.
    maxWorkers: Math.max(5, availableParallelism()),
    projects: [
      {
        test: {
          ...shared,
          name: 'all',
          include: ['test/**/*.test.ts'],
          exclude: [ATTACKS],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'attacks',
          include: [ATTACKS],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
    reporters: process.env.CI
      ? ['default', new SkipReporter(), ['json', { outputFile: 'coverage/results.json' }]]
      : ['default', new SkipReporter()],
  },
});
