import type { Row, Scenario } from './result.ts';

/** Formats rows as a text table with one block per measure and scenario. */
export function table(rows: readonly Row[]): string {
  const blocks = Map.groupBy(rows, (row) => `${row.measure}: ${scenarioText(row.scenario)}`);
  return [...blocks].map(([title, block]) => `${title}\n${columns(block)}`).join('\n\n');
}

/** `100 hosts, gzip`; `threads 2` */
export function scenarioText(scenario: Scenario): string {
  return Object.entries(scenario)
    .map(([name, value]) =>
      typeof value === 'string'
        ? value
        : `${value.toLocaleString('en')} ${value === 1 ? name.replace(/s$/, '') : name}`,
    )
    .join(', ');
}

/** Formats a number with three significant digits, and with all digits before the point. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(3)).toString();
}

function columns(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.contestant,
    `${figure(row.median)} ${row.unit}`,
    `${figure(row.p25)} – ${figure(row.p75)}`,
    `p99 ${figure(row.p99)}`,
    row.toFloor === undefined ? row.role : `${figure(row.toFloor.median)} x floor`,
    `n ${row.count}`,
  ]);
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  return cells
    .map((line) => `  ${line.map((cell, at) => pad(cell, widths[at] ?? 0, at)).join('  ')}`)
    .join('\n');
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
