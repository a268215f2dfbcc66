import type { ResultFile, Row } from '../support/result.ts';
import { figure, scenarioText } from '../support/table.ts';

/** For each bench, our most important row: the one for a reader who reads only one line. */
const HEADLINES: Readonly<Record<string, (row: Row) => boolean>> = {
  observe: ({ scenario, contestant }) => scenario.threads === 1 && contestant === 'ours, strings',
  render: ({ scenario, contestant }) =>
    isLarge(scenario) && scenario.encoding === 'identity' && contestant === 'ours, cold',
  scrape: ({ scenario, contestant }) =>
    isLarge(scenario) && scenario.encoding === 'gzip' && contestant === 'ours, 0.02 % changed',
  stall: ({ scenario, measure }) =>
    isLarge(scenario) && scenario.encoding === 'gzip' && measure === 'turn of the loop, longest',
  ingest: ({ scenario, contestant }) =>
    scenario['in flight'] === 16 && contestant === 'ours, on disk',
  reports: ({ scenario, measure, contestant }) =>
    scenario.clients === 100 && measure === 'finished jobs a second' && contestant === 'ours, HTTP',
  postgres: ({ scenario, contestant }) =>
    scenario.batch === 1_000 && contestant === 'ours, one instance',
  api: ({ scenario, measure, contestant }) =>
    scenario.engine === 'SQLite' &&
    measure === 'first page of GET /api/hosts' &&
    contestant === 'no filter',
  memory: ({ scenario, measure, contestant }) =>
    isLarge(scenario) && measure === 'resident memory' && contestant === 'ours',
};

function isLarge({ hosts }: Row['scenario']): boolean {
  return hosts === 100_000;
}

/** One line per bench: our figure, and those of all other contestants in the same scenario. */
export function headlines(results: readonly ResultFile[]): string[] {
  return results.flatMap(({ bench, rows }) => {
    const ours = rows.find((row) => row.role === 'own' && HEADLINES[bench]?.(row));
    if (ours === undefined) return [];
    const { measure, scenario } = ours;
    const others = rows.filter(
      (row) =>
        row.role !== 'own' &&
        row.measure === measure &&
        scenarioText(row.scenario) === scenarioText(scenario),
    );
    const figures = others.map(({ contestant, ...row }) => `${contestant} ${amount(row)}`);
    return [
      `- [${bench}](#${bench}), ${measure}, ${scenarioText(scenario)}: **${ours.contestant} ${amount(ours)}**; ${figures.join('; ')}`,
    ];
  });
}

function amount({ median, unit }: Pick<Row, 'median' | 'unit'>): string {
  return `${figure(median)} ${unit}`;
}
