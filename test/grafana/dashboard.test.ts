import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GENERATED } from '../../grafana/generated.ts';
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
