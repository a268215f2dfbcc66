import { buildDashboard } from './dashboard.ts';
import { withReferenceTable } from './reference.ts';

/** What is made from code and committed: each file, and the text it must have given the one it has. */
export const GENERATED = [
  {
    file: new URL('./restic-manager-dashboard.json', import.meta.url),
    text: () => `${JSON.stringify(buildDashboard(), null, 2)}\n`,
  },
  { file: new URL('../docs/prometheus.md', import.meta.url), text: withReferenceTable },
] as const;
