import type { ResultFile, Row } from '../support/result.ts';
import { figure, scenarioText } from '../support/table.ts';

/** Below that, a 99th percentile is about the one worst sample. */
const SAMPLES_FOR_P99 = 100;

/** A list and the empty line after it. */
export function lines(items: readonly string[]): string[] {
  return items.length === 0 ? [] : [...items, ''];
}

/** A table a measure, with a column for each value of the scenario's first key, such as `hosts`. */
export function pivotTables(rows: readonly Row[]): string[] {
  const tables = Map.groupBy(rows, ({ measure, unit, scenario }) => {
    const rest = scenarioText(Object.fromEntries(Object.entries(scenario).slice(1)));
    return `${measure}, ${unit === 'times' ? 'count' : unit}${rest === '' ? '' : ` (${rest})`}`;
  });
  return [...tables].flatMap(([title, block]) => ['', ...pivotTable(title, block)]);
}

function pivotTable(title: string, rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.map(columnOf))];
  // In the order of the last column: a large fleet has shares of it that a small one has not.
  const contestants = new Set(rows.toReversed().map(({ contestant }) => contestant));
  const body = [...contestants].reverse().map((contestant) => {
    const own = rows.filter((row) => row.contestant === contestant);
    const name = own[0]?.role === 'own' ? `**${contestant}**` : contestant;
    const cells = columns.map((column) => cell(own.find((row) => columnOf(row) === column)));
    return `| ${[name, ...cells].join(' | ')} |`;
  });
  return [
    `| ${[title, ...columns].join(' | ')} |`,
    `|---|${columns.map(() => '---:|').join('')}`,
    ...body,
  ];
}

function columnOf({ scenario }: Row): string {
  return scenarioText(Object.fromEntries(Object.entries(scenario).slice(0, 1)));
}

function cell(row: Row | undefined): string {
  if (row === undefined) return '';
  const { median, p25, p75, p99, count, toFloor } = row;
  return [
    `**${figure(median)}**`,
    count > 1 ? `[${figure(p25)}–${figure(p75)}]` : '',
    count >= SAMPLES_FOR_P99 ? `p99 ${figure(p99)}` : '',
    toFloor === undefined ? '' : `${figure(toFloor.median)}×`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

/** Where and of what the figures of a section are. */
export function measuredLines({ measured }: ResultFile): string[] {
  const { date, command, commit, modified, cpu, cores, memoryGb, kernel, load } = measured;
  const versions = Object.entries(measured.versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
  return [
    `<sub>\`${command}\` on ${date.slice(0, 10)}, commit ${commit.slice(0, 10)}${modified ? ' with changes' : ''}; ${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, load ${figure(load)} before; ${versions}.</sub>`,
  ];
}
