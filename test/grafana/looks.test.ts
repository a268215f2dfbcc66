import { describe, expect, it } from 'vitest';
import { fieldConfig, show } from '../../grafana/preview/field.ts';
import { tableOf } from '../../grafana/preview/table.ts';
import { JOB_KINDS } from '../../src/contract/jobs.ts';
import { DASHBOARD, panel } from './committed.ts';

const NOW = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;

/**
 * How each panel shows its values, written by hand: the unit, and the colours from which value on. Units are those of
 * https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
 */
const LOOKS: Readonly<Record<string, { unit: string; steps: readonly (readonly unknown[])[] }>> = {
  'Fleet status': { unit: 'locale', steps: [[null, 'blue']] },
  'Open alerts': {
    unit: 'locale',
    steps: [
      [null, 'green'],
      [1, 'orange'],
    ],
  },
  'Backups failing': {
    unit: 'locale',
    steps: [
      [null, 'green'],
      [1, 'red'],
    ],
  },
  Hosts: { unit: 'locale', steps: [[null, 'text']] },
  'Repo size over time': { unit: 'bytes', steps: [[null, 'green']] },
  'Job duration p95': {
    unit: 's',
    steps: [
      [null, 'green'],
      [6 * 3600, 'orange'],
      [24 * 3600, 'red'],
    ],
  },
};

/** What is shown otherwise than the panel's other values, by the names of the fields. */
const OVERRIDDEN: Readonly<Record<string, readonly string[]>> = {
  'Fleet status': ['Online share'],
  'Open alerts': ['critical', 'info', 'warning'],
  'Backups failing': [],
  Hosts: [
    'Agent',
    'Alerts',
    'Host',
    'Last backup',
    'Last result',
    'Last success',
    'Online',
    'Repo size',
    'State',
    'restic',
  ],
  'Repo size over time': [],
  'Job duration p95': [...JOB_KINDS],
};

/** The names that the fields of a panel can have: its legends, those of severities, and its columns. */
function fieldsOf(title: string): string[] {
  const { targets, transformations = [] } = panel(title);
  const organize = transformations.find(({ id }) => id === 'organize')?.options;
  const columns = Object.values<string>(organize?.renameByName ?? {});
  const legends = targets.flatMap(({ legendFormat = '' }) =>
    legendFormat === '{{severity}}'
      ? ['critical', 'info', 'warning']
      : legendFormat === '{{kind}}'
        ? JOB_KINDS
        : [legendFormat],
  );
  return [...columns, ...legends];
}

/** The word and the colour of a value, as Grafana would have them. */
function shown(title: string, field: string, value: number | undefined): string {
  const { text, color } = show(value, fieldConfig(panel(title), field), NOW);
  return `${text} ${color}`;
}

it('the tables are of all panels', () => {
  const titles = DASHBOARD.panels.map(({ title }) => title).sort();
  expect(Object.keys(LOOKS).sort()).toEqual(titles);
  expect(Object.keys(OVERRIDDEN).sort()).toEqual(titles);
});

describe.each(Object.entries(LOOKS))('%s', (title, { unit, steps }) => {
  const { defaults, overrides } = panel(title).fieldConfig ?? {};

  it(`is in ${unit}, with these colours`, () => {
    expect(defaults?.unit).toBe(unit);
    expect(defaults?.thresholds?.mode).toBe('absolute');
    expect(defaults?.thresholds?.steps.map(({ value, color }) => [value, color])).toEqual(steps);
  });

  it('says that there is no data instead of nothing', () => {
    expect(defaults?.noValue).toBe('no data');
  });

  it('overrides what it should, each by a name that there is', () => {
    const names = (overrides ?? []).map(({ matcher }) => matcher.options);
    expect([...names].sort()).toEqual(OVERRIDDEN[title]);
    for (const name of names) expect(fieldsOf(title)).toContain(name);
  });
});

describe('a value has its word and colour', () => {
  it.each<[title: string, field: string, value: number | undefined, word: string]>([
    ['Fleet status', 'Online share', 0, '0% red'],
    ['Fleet status', 'Online share', 0.89, '89% red'],
    ['Fleet status', 'Online share', 0.95, '95% orange'],
    ['Fleet status', 'Online share', 1, '100% green'],
    ['Fleet status', 'Online', 0, '0 blue'],
    ['Fleet status', 'Hosts', 1_234, '1,234 blue'],
    ['Open alerts', 'critical', 0, '0 green'],
    ['Open alerts', 'critical', 1, '1 red'],
    ['Open alerts', 'warning', 0, '0 green'],
    ['Open alerts', 'warning', 1, '1 orange'],
    ['Open alerts', 'info', 0, '0 green'],
    ['Open alerts', 'info', 1, '1 blue'],
    ['Backups failing', 'Hosts', 0, '0 green'],
    ['Backups failing', 'Hosts', 1, '1 red'],
    ['Repo size over time', 'web', 1536, '1.5 KiB green'],
    ['Job duration p95', 'backup', 90, '1.5 min green'],
    ['Job duration p95', 'check', 7 * 3600, '7 hours blue'],
    ['Hosts', 'State', 0, 'ok green'],
    ['Hosts', 'State', 0.1, 'alerts orange'],
    ['Hosts', 'State', 0.9, 'alerts orange'],
    ['Hosts', 'State', 1, 'offline orange'],
    ['Hosts', 'State', 2.3, 'overdue orange'],
    ['Hosts', 'State', 3, 'overdue, offline orange'],
    ['Hosts', 'State', 4.1, 'failed red'],
    ['Hosts', 'State', 5, 'failed, offline red'],
    ['Hosts', 'State', 6, 'failed, overdue red'],
    ['Hosts', 'State', 7.9, 'failed, overdue, offline red'],
    ['Hosts', 'State', 8, 'never backed up red'],
    ['Hosts', 'State', 9.9, 'never backed up, offline red'],
    ['Hosts', 'Online', 0, 'offline orange'],
    ['Hosts', 'Online', 1, 'online green'],
    ['Hosts', 'Online', 2, 'reports green'],
    ['Hosts', 'Last backup', NOW - 3 * HOUR, '3 hours ago text'],
    ['Hosts', 'Last backup', undefined, 'never red'],
    ['Hosts', 'Last success', NOW - 30 * HOUR, '1.3 day ago text'],
    ['Hosts', 'Last success', undefined, 'never red'],
    ['Hosts', 'Agent', undefined, 'unknown text'],
    ['Hosts', 'restic', undefined, 'unknown text'],
    ['Hosts', 'Last result', 1, 'succeeded green'],
    ['Hosts', 'Last result', 0, 'failed red'],
    ['Hosts', 'Last result', undefined, 'none yet red'],
    ['Hosts', 'Repo size', 3 * 2 ** 30, '3 GiB text'],
    ['Hosts', 'Repo size', undefined, 'unknown text'],
    ['Hosts', 'Snapshots', 12, '12 text'],
    ['Hosts', 'Alerts', 0, '0 green'],
    ['Hosts', 'Alerts', 1, '1 orange'],
  ])('%s, %s: %s is %s', (title, field, value, word) => {
    expect(shown(title, field, value)).toBe(word);
  });
});

/** How Prometheus is asked, in the order of the queries, with the legend. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  'Fleet status': ['range: Online', 'range: Hosts', 'instant: Online share'],
  // Not over the time range: after an outage, the panel would show the alerts before it.
  'Open alerts': ['instant: {{severity}}'],
  'Backups failing': ['range: Hosts'],
  Hosts: Array(9).fill('instant: table'),
  'Repo size over time': ['range: {{host}}'],
  'Job duration p95': ['range: {{kind}}'],
};

it.each(Object.entries(ASKED))('%s asks for the time range or for now', (title, asked) => {
  const { targets } = panel(title);
  expect(
    targets.map(({ instant, range, format, legendFormat }) => {
      expect(instant).toBe(!range);
      return `${range ? 'range' : 'instant'}: ${legendFormat ?? format}`;
    }),
  ).toEqual(asked);
  expect(new Set(targets.map(({ refId }) => refId)).size).toBe(asked.length);
});

it('the table has the columns that it should, in this order, and no others', () => {
  const { targets } = panel('Hosts');
  const labels = { host_id: '01', host: 'web' };
  const versions = { agent_version: '1', restic_version: '0.18' };
  const frames = new Map(
    targets.map(({ refId, expr }) => [
      String(refId),
      [{ labels: expr.includes('version') ? { ...labels, ...versions } : labels, value: 1 }],
    ]),
  );
  expect(tableOf(panel('Hosts'), frames, NOW).columns).toEqual([
    'Host',
    'State',
    'Online',
    'Last backup',
    'Last success',
    'Last result',
    'Repo size',
    'Snapshots',
    'Alerts',
    'Agent',
    'restic',
  ]);
});

it('a viewer sees the worst hosts first and can filter by name', () => {
  const { options, fieldConfig: all } = panel('Hosts');
  expect(options).toMatchObject({
    showHeader: true,
    sortBy: [{ displayName: 'State', desc: true }],
  });
  const filterable = (all?.overrides ?? []).filter(({ properties }) =>
    properties.some(({ id, value }) => id === 'custom.filterable' && value),
  );
  expect(filterable.map(({ matcher }) => matcher.options)).toEqual(['Host']);
  expect(all?.defaults.custom?.filterable).toBe(false);
});

it('colours are where they should be: behind the state and the alerts, else in the text', () => {
  const colored = (panel('Hosts').fieldConfig?.overrides ?? []).flatMap(
    ({ matcher, properties }) => {
      const cell = properties.find(({ id }) => id === 'custom.cellOptions');
      return cell === undefined ? [] : [`${matcher.options}: ${cell.value.type}`];
    },
  );
  expect(colored.sort()).toEqual([
    'Alerts: color-text',
    'Last backup: color-text',
    'Last result: color-text',
    'Last success: color-text',
    'Online: color-text',
    'State: color-background',
  ]);
  expect(panel('Open alerts').options.colorMode).toBe('background');
  expect(panel('Fleet status').options.colorMode).toBe('value');
  for (const title of ['Fleet status', 'Open alerts'])
    expect(panel(title).options.textMode, 'which number is which').toBe('value_and_name');
});

it('whole numbers have no decimals, and sizes have one', () => {
  for (const title of ['Fleet status', 'Open alerts', 'Backups failing', 'Hosts'])
    expect(panel(title).fieldConfig?.defaults.decimals, title).toBe(0);
  expect(fieldConfig(panel('Hosts'), 'Repo size').decimals).toBe(1);
});

it.each(['Backups failing', 'Repo size over time', 'Job duration p95'])(
  '%s has an axis from 0, a legend with the last value, and shows single values',
  (title) => {
    const { options, fieldConfig: all } = panel(title);
    expect(all?.defaults.min).toBe(0);
    expect(all?.defaults.custom?.showPoints).toBe('auto');
    expect(options.legend).toMatchObject({ showLegend: true, displayMode: 'table' });
    expect(options.legend.calcs[0]).toBe('lastNotNull');
    expect(options.tooltip).toEqual({ mode: 'multi', sort: 'desc' });
  },
);

it('only limits that mean something are drawn as lines', () => {
  const drawn = DASHBOARD.panels.filter(
    (one) => one.fieldConfig?.defaults.custom?.thresholdsStyle !== undefined,
  );
  expect(drawn.map(({ title }) => title)).toEqual(['Job duration p95']);
  expect(drawn[0]?.fieldConfig?.defaults.custom.thresholdsStyle).toEqual({ mode: 'dashed' });
  // A number of hosts has no value between two whole ones.
  expect(panel('Backups failing').fieldConfig?.defaults.custom).toMatchObject({
    lineInterpolation: 'stepAfter',
    gradientMode: 'scheme',
  });
});

it('each kind of job has a colour of its own, and none that a threshold has', () => {
  const colors = JOB_KINDS.map((kind) => fieldConfig(panel('Job duration p95'), kind).color);
  expect(new Set(colors.map((color) => color?.fixedColor)).size).toBe(JOB_KINDS.length);
  expect(colors.every((color) => color?.mode === 'fixed')).toBe(true);
  expect(colors.map((color) => color?.fixedColor)).not.toContain('red');
  expect(colors.map((color) => color?.fixedColor)).not.toContain('orange');
});

it('an outage shows as a gap or as no data, never as the last good value', () => {
  for (const { title, type, options, fieldConfig } of DASHBOARD.panels) {
    if (type === 'stat') expect(options.reduceOptions?.calcs, title).toEqual(['last']);
    if (type === 'timeseries') expect(fieldConfig?.defaults.custom?.spanNulls, title).toBe(false);
  }
});

it('a host is overdue after its interval and a tenth', () => {
  const [state] = panel('Hosts').targets;
  expect(state?.expr).toMatch(/rm_host_backup_interval_seconds.*\) \* 1\.1$/m);
});
