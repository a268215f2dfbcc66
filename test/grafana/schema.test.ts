import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../support/serve.ts';
import { TEXT } from './committed.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TYPES = fileURLToPath(new URL('./grafana-types.ts', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const OLDEST = join(ROOT, 'node_modules/grafana-schema-11');

interface Version {
  /** Where its types come from, if not from `@grafana/schema` itself. */
  readonly paths: Readonly<Record<string, readonly string[]>>;
  /** Options of panels that later versions demand and this one passes over. */
  readonly ignores: readonly string[];
}

/** The oldest Grafana that the dashboard is for, and a current one. */
const VERSIONS: Readonly<Record<string, Version>> = {
  '11.0': {
    paths: {
      '@grafana/schema': [`${OLDEST}/dist/index.d.ts`],
      '@grafana/schema/*': [`${OLDEST}/*.d.ts`],
    },
    ignores: ['percentChangeColorMode'],
  },
  '13.2': { paths: {}, ignores: [] },
};

/** What goes wrong in dashboards: text of the committed one, and what it becomes in a broken copy. */
const BROKEN: Readonly<Record<string, readonly [from: string, to: string]>> = {
  'a kind of panel that there is not': ['"type": "stat"', '"type": "singlestat"'],
  'a misspelt key of a panel': ['"gridPos": {', '"gridPosition": {'],
  'a number in quotes': ['"h": 7', '"h": "7"'],
  'an unknown colour mode': ['"mode": "thresholds"', '"mode": "threshold"'],
  'an unknown kind of threshold': ['"mode": "absolute"', '"mode": "relative"'],
  'a threshold without a colour': ['"color": "blue"', '"colour": "blue"'],
  'an option of another panel': ['"graphMode": "area"', '"showHeader": true'],
  'an unknown way to show a text': ['"textMode": "value_and_name"', '"textMode": "both"'],
  'an unknown reducer option': ['"calcs": [', '"calc": ['],
  'a query without an expression': ['"expr": "sum(', '"query": "sum('],
  'a query in an unknown format': ['"format": "table"', '"format": "tables"'],
  'an unknown property in an override': ['"id": "custom.width"', '"id": "custom.widht"'],
  'a property of the wrong type': ['"id": "unit",', '"id": "decimals",'],
  'an unknown kind of cell': ['"type": "color-background"', '"type": "color-backgrounds"'],
  'an unknown kind of mapping': ['"type": "range"', '"type": "ranges"'],
  'a range that has no end': ['"to": 0.9,', ''],
  'a special value that there is not': ['"match": "null+nan"', '"match": "nothing"'],
  'an unknown transformation': ['"id": "merge"', '"id": "joinAll"'],
  'an unknown kind of variable': ['"type": "custom"', '"type": "customs"'],
  'an unknown time to refresh a variable': ['"refresh": 2', '"refresh": 7'],
  'a refresh that is no text': ['"refresh": "1m"', '"refresh": 60'],
  'an input of an export': ['"uid": "restic', '"__inputs": [], "uid": "restic'],
};

describe.each(Object.entries(VERSIONS))('the types of Grafana %s', (_, { paths, ignores }) => {
  test('take the dashboard, and refuse each broken copy', async () => {
    const dashboard = JSON.stringify(
      JSON.parse(TEXT, (key, value) => (ignores.includes(key) ? undefined : value)),
      null,
      2,
    );
    const texts: Record<string, string> = { 'the dashboard': dashboard };
    for (const [fault, [from, to]] of Object.entries(BROKEN)) {
      texts[fault] = dashboard.replace(from, to);
      expect(texts[fault], fault).not.toBe(dashboard);
      JSON.parse(texts[fault]);
    }
    const faults = await compile(Object.values(texts), paths);
    const names = Object.keys(texts);
    expect([...faults].map((index) => names[index])).toEqual(Object.keys(BROKEN));
  });
});

/** Compiles each text as a dashboard. @returns the indices of those with an error, rising */
async function compile(texts: readonly string[], paths: Version['paths']): Promise<Set<number>> {
  const dir = temporaryDirectory();
  for (const [index, text] of texts.entries()) {
    const importTypes = `import type { GrafanaDashboard } from ${JSON.stringify(TYPES)};`;
    const dashboard = `export const dashboard: GrafanaDashboard = ${text};`;
    writeFileSync(join(dir, `${index}.ts`), `${importTypes}\n${dashboard}\n`);
  }
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      typeRoots: [join(ROOT, 'node_modules/@types')],
      rewriteRelativeImportExtensions: false,
      paths,
    },
    include: ['*.ts'],
  };
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
  const output = await new Promise<string>((resolve) =>
    execFile(process.execPath, [TSC, '-p', dir, '--pretty', 'false'], (_, stdout, stderr) =>
      resolve(stdout + stderr),
    ),
  );
  const lines = output.split('\n').filter((line) => line !== '' && !line.startsWith(' '));
  const found = lines.map((line) => /(?:^|\/)(\d+)\.ts\(/.exec(line)?.[1]);
  // An error elsewhere means that the types themselves were not found or understood.
  if (found.includes(undefined)) throw new Error(output);
  return new Set(found.map(Number).sort((a, b) => a - b));
}
