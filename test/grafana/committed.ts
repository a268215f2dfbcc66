import { readFileSync } from 'node:fs';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import { type Choices, interpolate } from '../../grafana/interpolate.ts';

const FILE = new URL('../../grafana/restic-manager-dashboard.json', import.meta.url);

interface CommittedPanel extends Panel {
  readonly title: string;
  readonly targets: Dataquery[];
}

interface CommittedDashboard extends Dashboard {
  readonly panels: CommittedPanel[];
}

/** The dashboard as it is committed, which is what people import. */
export const TEXT = readFileSync(FILE, 'utf8');
export const DASHBOARD: CommittedDashboard = JSON.parse(TEXT);

export interface Query {
  readonly panel: string;
  readonly refId: string | undefined;
  readonly expr: string;
}

/** Every query of every panel, with the variables filled in. */
export function queries(choices: Choices): Query[] {
  return DASHBOARD.panels.flatMap(({ title, targets }) =>
    targets.map(({ refId, expr }) => ({ panel: title, refId, expr: interpolate(expr, choices) })),
  );
}

export function panel(title: string): CommittedPanel {
  const found = DASHBOARD.panels.find((candidate) => candidate.title === title);
  if (found === undefined) throw new Error(`no panel ${title}`);
  return found;
}
