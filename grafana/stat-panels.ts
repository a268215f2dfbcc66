import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  ReduceDataOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { FieldColorModeId } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { COUNT, colorBy, override, thresholds } from './looks.ts';
import * as promql from './promql.ts';
import { instantQuery, rangeQuery } from './queries.ts';
import { DATASOURCE } from './variables.ts';

const ONLINE_SHARE = 'Online share';

export const fleetStatus = () =>
  stat('Fleet status')
    .description(
      'Online hosts, and all hosts that have connected or reported at least once. The share is orange below 100 %. It is red below 90 %, and if Prometheus cannot scrape the control plane; the two numbers are then the last known values. If it is red, find the offline hosts in the Hosts panel. If all hosts are offline, check the control plane, its network, and the targets page of Prometheus.',
    )
    .graphMode(BigValueGraphMode.Area)
    .colorScheme(colorBy(FieldColorModeId.Thresholds))
    .thresholds(thresholds(['blue']))
    .overrideByName(ONLINE_SHARE, [
      override.unit('percentunit'),
      override.thresholds(['red', [0.9, 'orange'], [1, 'green']]),
    ])
    .withTarget(rangeQuery('A', promql.hostsOnline, 'Online'))
    .withTarget(rangeQuery('B', promql.hostsTotal, 'Hosts'))
    .withTarget(instantQuery('C', promql.onlineShare, ONLINE_SHARE));

export const openAlerts = () =>
  stat('Open alerts')
    .description(
      'Open alerts of all hosts, by severity. Critical (red): a check, prune or init failed, so the repository may be damaged. Run restic check before you rely on its backups. Warning (orange): a backup or a forget failed, or a host has been offline for more than 15 minutes. The Alerts column of the Hosts panel shows which hosts have alerts. An alert is resolved by the next success, or when the host is online again.',
    )
    .colorMode(BigValueColorMode.Background)
    .overrideByName('critical', [override.thresholds(['green', [1, 'red']])])
    .overrideByName('warning', [override.thresholds(['green', [1, 'orange']])])
    .overrideByName('info', [override.thresholds(['green', [1, 'blue']])])
    .thresholds(thresholds(['green', [1, 'orange']]))
    .withTarget(instantQuery('A', promql.openAlerts, '{{severity}}'));

function stat(title: string): PanelBuilder {
  return new PanelBuilder()
    .title(title)
    .datasource(DATASOURCE)
    .unit(COUNT)
    .decimals(0)
    .noValue('no data')
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['last']).values(false).fields(''))
    .textMode(BigValueTextMode.ValueAndName)
    .colorMode(BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.None);
}
