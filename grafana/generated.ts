import { buildDashboard } from './dashboard.ts';
import { withReferenceTable } from './reference.ts';

/** The committed files that are generated from code, and the text that each must contain. */
export const GENERATED = [
  {
    file: new URL('./restic-manager-dashboard.json', import.meta.url),
    text: () => `${JSON.stringify(buildDashboard(), null, 2)}\n`,
  },
  { file: new URL('../docs/prometheus.md', import.meta.url), text: withReferenceTable },
] as const;
