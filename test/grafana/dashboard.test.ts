import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GENERATED } from '../../grafana/generated.ts';
import { interpolate } from '../../grafana/interpolate.ts';
import { withReferenceTable } from '../../grafana/reference.ts';
import { FAMILIES } from '../../src/shared/families.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const json = read('grafana/restic-manager-dashboard.json');
const dashboard = JSON.parse(json);

test('what is generated is committed as it is generated: else run `npm run dashboard`', () => {
  for (const { file, text } of GENERATED) {
    expect(existsSync(file), String(file)).toBe(true);
    const committed = readFileSync(file, 'utf8');
    expect(committed, String(file)).toBe(text(committed));
  }
});

test('every metric that the dashboard asks for is in the exposition', () => {
  const names = new Set(FAMILIES.map(({ name }) => name));
  const asked = [...json.matchAll(/\brm_[a-z0-9_]+/g)].map(([name]) =>
    name.replace(/(_seconds)_(bucket|sum|count)$/, '$1'),
  );
  expect(asked.length).toBeGreaterThan(10);
  for (const name of asked) expect(names, name).toContain(name);
});

test('every family of the exposition is in the reference table', () => {
  const reference = read('docs/prometheus.md');
  for (const { name, type, labels, help } of FAMILIES) {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    expect(reference).toContain(`| \`${name}\` | ${type} | ${shown} | ${help} |`);
  }
});

test('it imports by hand and provisions from a file: one data source variable, nothing to fill in', () => {
  expect(dashboard).not.toHaveProperty('__inputs');
  expect(dashboard.id ?? null).toBeNull();
  expect(dashboard.uid).toBe('restic-manager-fleet');
  const variables: { type: string; name: string }[] = dashboard.templating.list;
  const sources = variables.filter(({ type }) => type === 'datasource');
  expect(sources).toHaveLength(1);
  const uids = [...json.matchAll(/"datasource": \{[^}]*"uid": "([^"]*)"/g)].map(([, uid]) => uid);
  expect(new Set(uids)).toEqual(new Set([`\${${sources[0]?.name}}`]));
  expect(variables.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['window', 'host', 'instance']),
  );
});

test('six panels, each with a description of what to do', () => {
  const panels: { title: string; description?: string }[] = dashboard.panels;
  expect(panels.map(({ title }) => title).sort()).toEqual(
    [
      'Backups failing',
      'Fleet status',
      'Hosts',
      'Job duration p95',
      'Open alerts',
      'Repo size over time',
    ].sort(),
  );
  for (const { title, description } of panels) {
    expect(description?.length, title).toBeGreaterThan(40);
  }
});

test('the panels fill rows of 24 columns, and none covers another one', () => {
  const panels: { id: number; gridPos: Record<'x' | 'y' | 'w' | 'h', number> }[] = dashboard.panels;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
  const height = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h));
  expect(cells.length, 'no gap').toBe(24 * height);
});

test('it opens with the last day, of all hosts and control planes, and stays up to date', () => {
  expect(dashboard).toMatchObject({
    time: { from: 'now-24h', to: 'now' },
    refresh: '1m',
    timezone: 'browser',
    graphTooltip: 1, // the time under the pointer is marked in all panels
    templating: {
      list: [
        { name: 'datasource', query: 'prometheus' },
        // Asks again when the time range changes: a control plane may be gone or new.
        { name: 'instance', multi: true, includeAll: true, refresh: 2, sort: 5 },
        { name: 'host', multi: true, includeAll: true, refresh: 2, sort: 5 },
        { name: 'window', query: '1h,6h,1d,7d', current: { value: '1h' } },
      ],
    },
  });
  const [, , , window] = dashboard.templating.list;
  expect(
    window.options.map(({ value, selected }: Record<string, unknown>) => [value, selected]),
  ).toEqual([
    ['1h', true],
    ['6h', false],
    ['1d', false],
    ['7d', false],
  ]);
});

test('the reference table replaces the one before, and nothing around it', () => {
  const [table = ''] =
    /<!-- metric reference[\s\S]*end of metric reference -->/.exec(read('docs/prometheus.md')) ??
    [];
  const outdated = table.replace(/^\|.*\n/gm, '');
  expect(outdated).not.toBe(table);
  expect(withReferenceTable(`before\n${outdated}\nafter`)).toBe(`before\n${table}\nafter`);
  expect(() => withReferenceTable('a page without the markers')).toThrow('must contain');
  expect(() => withReferenceTable(table.replace('<!-- end of', '<!-- end'))).toThrow();
});

test('the preview fills in variables as Grafana does', () => {
  const choices = { instance: 'all', host: ['a.b|c'], window: '6h', rangeSeconds: 60 } as const;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
  const expr = 'x{instance=~`${instance:regex}`, host=~`${host:regex}`}[$window] $__range';
  expect(interpolate(expr, choices)).toBe('x{instance=~`.*`, host=~`a\\.b\\|c`}[6h] 60s');
  expect(interpolate(expr, { ...choices, host: ['a+', 'b'] })).toContain('host=~`(a\\+|b)`');
  expect(() => interpolate('x[$interval]', choices)).toThrow('no variable $interval');
});
