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
      'Hosts whose agent is connected, of all hosts that ever connected. The share is orange when a host is missing, red below 90 % and when Prometheus gets no scrape at all (the two numbers are then the last known). Red: see in Hosts who is offline; if it is everybody, look at the control plane and the network before it, and at the targets page of Prometheus.',
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
      'Alerts that the control plane holds open, of all hosts. Critical (red): a check, a prune or an init failed, so the repository itself is in doubt: run restic check on it before you trust its backups. Warning (orange): a backup or a forget failed, or a host is offline for more than 15 minutes. The hosts are in Hosts, under Alerts; an alert goes away with the next success.',
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
