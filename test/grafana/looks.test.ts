import { describe, expect, it } from 'vitest';
import { fieldConfig, show } from '../../grafana/preview/field.ts';
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
