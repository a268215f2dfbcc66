import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  type GridPos,
  type VariableModel,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { hosts } from './hosts-panel.ts';
import { fleetStatus, openAlerts } from './stat-panels.ts';
import { backupsFailing, jobDurationP95, repoSizeOverTime } from './time-panels.ts';
import { variables } from './variables.ts';

/** The schema version of Grafana 11.0. Later versions of Grafana migrate the dashboard on import. */
const SCHEMA_VERSION = 39;

const at = (x: number, y: number, w: number, h: number): GridPos => ({ x, y, w, h });

/**
 * The dashboard as Grafana imports it: without `id` and `__inputs`, and without a fixed data
 * source.
 */
export function buildDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('restic backup fleet')
    .uid('restic-manager-fleet')
    .description(
      'The hosts of a restic-manager control plane: who is backed up, who is not, and why.',
    )
    .tags(['restic', 'backup', 'prometheus'])
    .time({ from: 'now-24h', to: 'now' })
    .refresh('1m')
    .tooltip(DashboardCursorSync.Crosshair)
    .variables(variables())
    .annotations([])
    .withPanel(
      fleetStatus()
        .id(1)
        .gridPos(at(0, 0, 8, 7)),
    )
    .withPanel(
      openAlerts()
        .id(2)
        .gridPos(at(8, 0, 7, 7)),
    )
    .withPanel(
      backupsFailing()
        .id(3)
        .gridPos(at(15, 0, 9, 7)),
    )
    .withPanel(
      hosts()
        .id(4)
        .gridPos(at(0, 7, 24, 12)),
    )
    .withPanel(
      repoSizeOverTime()
        .id(5)
        .gridPos(at(0, 19, 12, 9)),
    )
    .withPanel(
      jobDurationP95()
        .id(6)
        .gridPos(at(12, 19, 12, 9)),
    )
    .build();
  const { list = [] } = dashboard.templating;
  for (const panel of dashboard.panels ?? []) withoutFooter(panel);
  return {
    ...dashboard,
    schemaVersion: SCHEMA_VERSION,
    templating: { list: list.map(withoutBuilderDefaults) },
  };
}

/**
 * Removes properties that the builder sets for every variable, although only variables of type
 * `interval`, or only Grafana versions after 11.0, have them.
 */
function withoutBuilderDefaults({
  auto,
  auto_min,
  auto_count,
  allowCustomValue,
  ...variable
}: VariableModel): VariableModel {
  return variable;
}

/**
 * Removes a default that the builder sets for tables. Grafana 13 has moved the option, and Grafana
 * 11 and 12 do not need it.
 */
function withoutFooter(panel: object): void {
  if ('options' in panel && typeof panel.options === 'object' && panel.options !== null) {
    Reflect.deleteProperty(panel.options, 'footer');
  }
}
