import type { ResultFile, Row, Scenario } from '../support/result.ts';
import { figure, scenarioText } from '../support/table.ts';

/** With fewer samples the 99th percentile is roughly the single worst sample. */
const SAMPLES_FOR_P99 = 100;

/** A list, followed by an empty line if it has items. */
export function lines(items: readonly string[]): string[] {
  return items.length === 0 ? [] : [...items, ''];
}

/** The maximum number of columns that fit on the page. */
const MAX_COLUMNS = 4;

type Column = (scenario: Scenario) => string;

/**
 * One table per measure, with one column per scenario. If there are too many scenarios, their first
 * property, such as `hosts`, becomes the columns, and there is one table for each combination of
 * the other properties.
 */
export function pivotTables(rows: readonly Row[]): string[] {
  const measures = Map.groupBy(rows, ({ measure, unit }) => `${measure}, ${nameOf(unit)}`);
  return [...measures].flatMap(([title, block]) => {
    if (new Set(block.map(({ scenario }) => scenarioText(scenario))).size <= MAX_COLUMNS) {
      return ['', ...pivotTable(title, block, scenarioText)];
    }
    const tables = Map.groupBy(block, ({ scenario }) => scenarioText(withoutFirst(scenario)));
    return [...tables].flatMap(([rest, part]) => [
      '',
      ...pivotTable(`${title} (${rest})`, part, (scenario) => scenarioText(onlyFirst(scenario))),
    ]);
  });
}

function nameOf(unit: Row['unit']): string {
  return unit === 'times' ? 'count' : unit;
}

function onlyFirst(scenario: Scenario): Scenario {
  return Object.fromEntries(Object.entries(scenario).slice(0, 1));
}

function withoutFirst(scenario: Scenario): Scenario {
  return Object.fromEntries(Object.entries(scenario).slice(1));
}

function pivotTable(title: string, rows: readonly Row[], column: Column): string[] {
  const columns = [...new Set(rows.map(({ scenario }) => column(scenario)))];
  // The last column determines the order of the rows: a large fleet has contestants that a small
  // one lacks.
  const contestants = new Set(rows.toReversed().map(({ contestant }) => contestant));
  const body = [...contestants].reverse().map((contestant) => {
    const own = rows.filter((row) => row.contestant === contestant);
    const name = own[0]?.role === 'own' ? `**${contestant}**` : contestant;
    const cells = columns.map((at) => cell(own.find(({ scenario }) => column(scenario) === at)));
    return `| ${[name, ...cells].join(' | ')} |`;
  });
  return [
    `| ${[title, ...columns].join(' | ')} |`,
    `|---|${columns.map(() => '---:|').join('')}`,
    ...body,
  ];
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

/** A line with the machine and the versions with which the figures of a section were measured. */
export function measuredLines({ measured }: ResultFile): string[] {
  const { date, command, commit, modified, cpu, cores, memoryGb, kernel, load } = measured;
  const versions = Object.entries(measured.versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
  return [
    `<sub>\`${command}\` on ${date.slice(0, 10)}, commit ${commit.slice(0, 10)}${modified ? ' with changes' : ''}; ${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, load average ${figure(load)} before the run; ${versions}.</sub>`,
  ];
}
