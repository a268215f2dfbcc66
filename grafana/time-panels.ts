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

/** Colours from Grafana's palette, without red and orange, which the thresholds use. */
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
      'Number of hosts whose last finished backup failed or was cancelled. Hosts that were never backed up are not included; see the Hosts panel. If the value is above 0, look for the state "failed" at the top of the Hosts panel, and read the agent log of that host. Common causes: the repository is full, unreachable or locked, or the password is wrong.',
    )
    .decimals(0)
    .colorScheme(colorBy(FieldColorModeId.Thresholds))
    .gradientMode(GraphGradientMode.Scheme)
    .lineInterpolation(LineInterpolation.StepAfter)
    .fillOpacity(20)
    // The legend shows the current value and the maximum of the time range.
    .legend(legend(LegendPlacement.Bottom, ['lastNotNull', 'max']))
    .withTarget(rangeQuery('A', promql.backupsFailing, 'Hosts'));

export const repoSizeOverTime = () =>
  graph('Repo size over time', 'bytes', ['green'])
    .description(
      `Repository size of each host, from its latest statistics. At most the ${promql.MAX_LINES} largest repositories are shown; select hosts at the top to see others. This panel has no thresholds. If a repository grows faster than its data, check that forget and prune run and that exclusions are complete. If it shrinks without a prune, find out who deleted data.`,
    )
    .withTarget(rangeQuery('A', promql.repoSizeOverTime, '{{host}}'));

export const jobDurationP95 = () =>
  colorsOfKinds(
    graph('Job duration p95', 's', ['green', [SIX_HOURS, 'orange'], [A_DAY, 'red']])
      .description(
        '95th percentile of job durations by kind, over all hosts: 5 % of the jobs that finished within the selected window took longer. It is estimated from histogram buckets (…, 5 min, 30 min, 1 h, 6 h, 1 day), so it is only an order of magnitude. A kind without a line had no finished job in the window; select a longer window. Above the red line jobs take more than a day, so daily jobs overlap. Look for a slow repository, a lock, or a check that reads all data.',
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

/** One colour for each kind. A palette by name would give several of the nine kinds the same colour. */
function colorsOfKinds(panel: PanelBuilder): PanelBuilder {
  for (const [kind, color] of Object.entries(KIND_COLORS)) {
    panel.overrideByName(kind, [override.fixedColor(color)]);
  }
  return panel;
}
