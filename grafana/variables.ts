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
  // "All" is the default. If the default were the first control plane in the list, the dashboard could show an old
  // instance after a control plane was restarted under another name.
  labelValues('instance', 'label_values(rm_build_info, instance)')
    .label('Control plane')
    .description(
      'By default all control planes are shown together. If several show the same fleet, select one.',
    )
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] }),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
  labelValues('host', 'label_values(rm_host_agent_online{instance=~`${instance:regex}`}, host)')
    .label('Host')
    .description(
      'Limits the panels that show individual hosts. Fleet status, Open alerts and p95 always cover all hosts.',
    )
    .multi(true)
    .includeAll(true)
    // Otherwise the expression for "All" would list every host.
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] }),
  new CustomVariableBuilder('window')
    .label('Window of p95')
    .description('For jobs that run once a day, select one day or more.')
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
