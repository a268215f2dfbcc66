import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const read = (path: string) =>
  parse(readFileSync(new URL(`../../grafana/provisioning/${path}`, import.meta.url), 'utf8'));

test('the provisioning examples are what Grafana reads', () => {
  expect(read('datasources/prometheus.yaml')).toMatchObject({
    apiVersion: 1,
    datasources: [{ type: 'prometheus', url: expect.stringMatching(/^http:/) }],
  });
  expect(read('dashboards/restic-manager.yaml')).toMatchObject({
    apiVersion: 1,
    providers: [{ type: 'file', options: { path: expect.stringMatching(/^\//) } }],
  });
});
