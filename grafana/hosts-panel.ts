import { TableSortByFieldStateBuilder } from '@grafana/grafana-foundation-sdk/common';
import type { ValueMapping } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/table';
import { COUNT, override, thresholds, wordForNothing, words, wordsFrom } from './looks.ts';
import * as promql from './promql.ts';
import { tableQuery } from './queries.ts';
import { DATASOURCE } from './variables.ts';

/** The columns from left to right, each with its query. */
const COLUMNS = [
  ['State', promql.hostState],
  ['Online', promql.hostOnline],
  ['Last backup', promql.hostLastBackup],
  ['Last success', promql.hostLastSuccess],
  ['Last result', promql.hostLastResult],
  ['Repo size', promql.hostRepoSize],
  ['Snapshots', promql.hostSnapshots],
  ['Alerts', promql.hostAlerts],
  ['Versions', promql.hostVersions],
] as const;
/** The values of the last query are labels. */
const LABEL_COLUMNS = { agent_version: 'Agent', restic_version: 'restic' } as const;
const refId = (column: number) => String.fromCharCode('A'.charCodeAt(0) + column);
const valueField = (column: number) => `Value #${refId(column)}`;
const SHOWN = COLUMNS.slice(0, -1);
const VERSIONS = COLUMNS.length - 1;

export const hosts = () =>
  new PanelBuilder()
    .title('Hosts')
    .description(
      `All hosts, worst state first. Never backed up: check that the agent has a schedule and that the repository is initialised. Failed: the last backup did not succeed; read the log of the agent. Overdue: no backup finished within 110 % of the backup interval of the host, or within ${promql.OVERDUE_HOURS} hours if the interval is unknown; check that the schedule runs and that no job hangs. Offline: the agent is not connected, or has not reported within 110 % of its interval, so the row shows the last known values; check that the host is running and its network works. Alerts: the backups are fine, but another job failed, such as a check.`,
    )
    .datasource(DATASOURCE)
    .targets(COLUMNS.map(([, expr], column) => tableQuery(refId(column), expr)))
    .transformations([
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true, host_id: true, [valueField(VERSIONS)]: true },
          indexByName: Object.fromEntries(
            [
              'host',
              ...SHOWN.map((_, column) => valueField(column)),
              ...Object.keys(LABEL_COLUMNS),
            ].map((name, at) => [name, at]),
          ),
          renameByName: {
            host: 'Host',
            ...Object.fromEntries(SHOWN.map(([name], column) => [valueField(column), name])),
            ...LABEL_COLUMNS,
          },
        },
      },
      { id: 'sortBy', options: { fields: {}, sort: [{ field: 'State', desc: true }] } },
    ])
    .unit(COUNT)
    .decimals(0)
    .noValue('no data')
    .thresholds(thresholds(['text']))
    .filterable(false)
    .showHeader(true)
    .sortBy([new TableSortByFieldStateBuilder().displayName('State').desc(true)])
    .overrideByName('Host', [override.filterable()])
    .overrideByName('State', [
      override.mappings(...stateWords()),
      override.cell('color-background'),
      override.width(240),
    ])
    .overrideByName('Online', [
      override.mappings(
        words([1, 'online', 'green'], [2, 'reports', 'green'], [0, 'offline', 'orange']),
      ),
      override.cell('color-text'),
    ])
    .overrideByName('Last backup', [
      override.unit('dateTimeFromNow'),
      override.fixedColor('text'),
      override.mappings(wordForNothing('never', 'red')),
      override.cell('color-text'),
    ])
    .overrideByName('Last success', [
      override.unit('dateTimeFromNow'),
      override.fixedColor('text'),
      override.mappings(wordForNothing('never', 'red')),
      override.cell('color-text'),
    ])
    .overrideByName('Last result', [
      override.mappings(
        words([1, 'succeeded', 'green'], [0, 'failed', 'red']),
        wordForNothing('none yet', 'red'),
      ),
      override.cell('color-text'),
    ])
    .overrideByName('Repo size', [
      override.unit('bytes'),
      override.decimals(1),
      override.mappings(wordForNothing('unknown', 'text')),
    ])
    .overrideByName('Agent', [override.mappings(wordForNothing('unknown', 'text'))])
    .overrideByName('restic', [override.mappings(wordForNothing('unknown', 'text'))])
    .overrideByName('Alerts', [
      override.thresholds(['green', [1, 'orange']]),
      override.cell('color-text'),
    ]);

/** A word for each whole number that a state can have, with or without alerts. */
function stateWords(): ValueMapping[] {
  const { offline, overdue, failed, neverBackedUp } = promql.STATE;
  const alerts = promql.MAX_COUNTED_ALERTS / (promql.MAX_COUNTED_ALERTS + 1);
  const states: [number, string, string][] = [
    [offline, 'offline', 'orange'],
    [overdue, 'overdue', 'orange'],
    [overdue + offline, 'overdue, offline', 'orange'],
    [failed, 'failed', 'red'],
    [failed + offline, 'failed, offline', 'red'],
    [failed + overdue, 'failed, overdue', 'red'],
    [failed + overdue + offline, 'failed, overdue, offline', 'red'],
    [neverBackedUp, 'never backed up', 'red'],
    [neverBackedUp + offline, 'never backed up, offline', 'red'],
  ];
  return [
    words([0, 'ok', 'green']),
    wordsFrom(0.01, alerts, 'alerts', 'orange'),
    ...states.map(([state, text, color]) => wordsFrom(state, state + alerts, text, color)),
  ];
}
