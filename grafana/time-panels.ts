import {
  GraphGradientMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  LineInterpolation,
  SortOrder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { FieldColorModeId } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { JobKind } from '../src/contract/jobs.ts';
import { COUNT, colorBy, override, type Steps, thresholds } from './looks.ts';
import * as promql from './promql.ts';
import { rangeQuery } from './queries.ts';
import { DATASOURCE } from './variables.ts';

const SIX_HOURS = 6 * 3600;
const A_DAY = 24 * 3600;

/** From Grafana's own palette. Red and orange are left out: the thresholds have them. */
const KIND_COLORS: Readonly<Record<JobKind, string>> = {
  backup: 'green',
  check: 'blue',
  diff: 'super-light-purple',
  forget: 'yellow',
  init: 'light-blue',
  prune: 'purple',
  restore: 'dark-green',
  unlock: 'super-light-yellow',
  update: 'text',
};

export const backupsFailing = () =>
  graph('Backups failing', COUNT, ['green', [1, 'red']])
    .description(
      'Hosts whose last finished backup did not succeed: it failed or was cancelled. Hosts that have never been backed up are not among them, see Hosts. Above 0: the hosts are at the top of Hosts as "failed"; the reason is in the log of the agent. Usually the repository is full, unreachable or locked, or the password is wrong.',
    )
    .decimals(0)
    .colorScheme(colorBy(FieldColorModeId.Thresholds))
    .gradientMode(GraphGradientMode.Scheme)
    .lineInterpolation(LineInterpolation.StepAfter)
    .fillOpacity(20)
    // The current value is in the legend, next to the highest one of the time range.
    .legend(legend(LegendPlacement.Bottom, ['lastNotNull', 'max']))
    .withTarget(rangeQuery('A', promql.backupsFailing, 'Hosts'));

export const repoSizeOverTime = () =>
  graph('Repo size over time', 'bytes', ['green'])
    .description(
      `The size of each host's repository, from its latest statistics; of the ${promql.MAX_LINES} largest hosts if there are more, so choose hosts above to see others. Nothing here is red by itself. A line that climbs faster than the data does: forget and prune do not run, or exclusions are missing. One that falls without a prune: find out who deleted what.`,
    )
    .withTarget(rangeQuery('A', promql.repoSizeOverTime, '{{host}}'));

export const jobDurationP95 = () =>
  colorsOfKinds(
    graph('Job duration p95', 's', ['green', [SIX_HOURS, 'orange'], [A_DAY, 'red']])
      .description(
        'How long the slowest twentieth of the jobs took that finished within the window above, by kind, of all hosts. It is estimated from buckets (…, 5 min, 30 min, 1 h, 6 h, 1 day), so read it as an order of magnitude. No line: no job of that kind finished in the window; choose a longer one. Above the red line jobs take longer than a day, so daily ones overlap: look for a slow repository, a lock, or a check that reads all the data.',
      )
      .thresholdsStyle(
        new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed),
      )
      .withTarget(rangeQuery('A', promql.jobDurationP95, '{{kind}}')),
  );

function graph(title: string, unit: string, steps: Steps): PanelBuilder {
  return (
    new PanelBuilder()
      .title(title)
      .datasource(DATASOURCE)
      .unit(unit)
      .min(0)
      .noValue('no data')
      .colorScheme(colorBy(FieldColorModeId.PaletteClassicByName))
      .thresholds(thresholds(steps))
      .lineInterpolation(LineInterpolation.Linear)
      .lineWidth(2)
      .fillOpacity(0)
      // Without points, a single value between two gaps would be invisible.
      .showPoints(VisibilityMode.Auto)
      .spanNulls(false)
      .legend(legend(LegendPlacement.Right, ['lastNotNull']))
      .tooltip(
        new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending),
      )
  );
}

function legend(placement: LegendPlacement, calcs: string[]): VizLegendOptionsBuilder {
  return new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.Table)
    .placement(placement)
    .calcs(calcs);
}

/** One colour for each kind. A palette by name would give the same colour to several of the nine. */
function colorsOfKinds(panel: PanelBuilder): PanelBuilder {
  for (const [kind, color] of Object.entries(KIND_COLORS)) {
    panel.overrideByName(kind, [override.fixedColor(color)]);
  }
  return panel;
}
