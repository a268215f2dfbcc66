import {
  CustomVariableBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';

/**
 * A variable, so that the dashboard works with any data source of the Grafana into which it is
 * imported.
 */
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

const WINDOWS = ['1h', '6h', '1d', '7d'];
const DEFAULT_WINDOW = '1h';

export const variables = () => [
  new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'),
  // "All" is the default. With a single one, the first in the list, the dashboard of a control plane that was restarted
  // under another name would show the dead one.
  labelValues('instance', 'label_values(rm_build_info, instance)')
    .label('Control plane')
    .description('All are shown together. Of replicas that show the same fleet, choose one.')
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] }),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
  labelValues('host', 'label_values(rm_host_agent_online{instance=~`${instance:regex}`}, host)')
    .label('Host')
    .description(
      'Narrows down what is shown by host. Fleet status, Open alerts and p95 are always of all.',
    )
    .multi(true)
    .includeAll(true)
    // Otherwise the expression for "All" would list every host.
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] }),
  new CustomVariableBuilder('window')
    .label('Window of p95')
    .description('Daily jobs leave an hour empty: choose a day or more for them.')
    .values(WINDOWS.join(','))
    .options(WINDOWS.map((value) => ({ selected: value === DEFAULT_WINDOW, text: value, value })))
    .current({ selected: true, text: DEFAULT_WINDOW, value: DEFAULT_WINDOW }),
];

function labelValues(name: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .datasource(DATASOURCE)
    .query({ qryType: 1, query, refId: 'PrometheusVariableQueryEditor-VariableQuery' })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalCaseInsensitiveAsc);
}
