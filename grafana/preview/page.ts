import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { fieldConfig, type Shown, show } from './field.ts';
import type { Table } from './table.ts';

/** A line of a plot: times in Unix seconds, and values, which are `null` where there is none. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [time: number, value: number])[];
}

export type Drawn =
  | { readonly kind: 'stat'; readonly values: readonly (readonly [name: string, value: number])[] }
  | { readonly kind: 'table'; readonly table: Table }
  | { readonly kind: 'timeseries'; readonly lines: readonly Line[] };

const COLORS: Readonly<Record<string, string>> = {
  green: '#3a9c4d',
  yellow: '#c8961c',
  orange: '#d9741f',
  red: '#cc3340',
  blue: '#2f6fb3',
  text: '#24292e',
};
const LINE_COLORS = ['#2f6fb3', '#3a9c4d', '#d9741f', '#8e5bb5', '#cc3340', '#1a9a9a', '#c8961c'];

/** The HTML page: the panels in the layout of the dashboard, drawn by uPlot and HTML. */
export function pageOf(panels: readonly (readonly [Panel, Drawn])[], nowMs: number): string {
  return `<!doctype html><meta charset="utf-8"><title>Dashboard preview</title>
<link rel="stylesheet" href="/uPlot.min.css"><script src="/uPlot.iife.min.js"></script>
<style>
  body { font: 13px system-ui, sans-serif; margin: 10px; background: #f4f5f5; color: ${COLORS.text}; }
  main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 32px; gap: 8px; }
  section { background: #fff; border: 1px solid #dcdfe3; border-radius: 3px; padding: 8px 10px; overflow: hidden; }
  h2 { font-size: 13px; margin: 0 0 6px; }
  .stats { display: flex; gap: 28px; justify-content: center; align-items: center; height: 80%; }
  .stats b { display: block; font-size: 34px; line-height: 1.1; }
  table { border-collapse: collapse; width: 100%; font-size: 12px; }
  td, th { text-align: left; padding: 3px 6px; border-bottom: 1px solid #eceef0; white-space: nowrap; }
  .none { color: #777; text-align: center; padding-top: 80px; }
  .u-legend { font-size: 11px; }
</style><main>${panels.map(([panel, drawn], index) => section(panel, drawn, index, nowMs)).join('')}</main>`;
}

function section(panel: Panel, drawn: Drawn, index: number, nowMs: number): string {
  const { x, y, w, h } = panel.gridPos ?? { x: 0, y: 0, w: 12, h: 8 };
  const area = `grid-area: ${y + 1} / ${x + 1} / span ${h} / span ${w}`;
  return `<section style="${area}"><h2>${inHtml(panel.title ?? '')}</h2>${content(panel, drawn, index, nowMs)}</section>`;
}

function content(panel: Panel, drawn: Drawn, index: number, nowMs: number): string {
  switch (drawn.kind) {
    case 'stat':
      return stats(panel, drawn.values, nowMs);
    case 'table':
      return tableHtml(drawn.table);
    case 'timeseries':
      return plot(drawn.lines, panel, index, nowMs);
  }
}

function stats(
  panel: Panel,
  values: readonly (readonly [string, number])[],
  nowMs: number,
): string {
  const shown = values.map(([name, value]) => {
    const { text, color } = show(value, fieldConfig(panel, name), nowMs);
    return `<div>${inHtml(name)}<b style="color:${colorOf(color)}">${inHtml(text)}</b></div>`;
  });
  return `<div class="stats">${shown.join('')}</div>`;
}

function tableHtml({ columns, rows }: Table): string {
  const cell = ({ text, color }: Shown) =>
    `<td style="color:${colorOf(color)}">${inHtml(text)}</td>`;
  const head = columns.map((column) => `<th>${inHtml(column)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('');
  return `<table><tr>${head}</tr>${body}</table>`;
}

function plot(lines: readonly Line[], panel: Panel, index: number, nowMs: number): string {
  if (lines.length === 0) return '<p class="none">No data</p>';
  const times = [...new Set(lines.flatMap(({ points }) => points.map(([time]) => time)))].sort(
    (a, b) => a - b,
  );
  const data = [
    times,
    ...lines.map(({ points }) => {
      const values = new Map(points);
      return times.map((time) => values.get(time) ?? null);
    }),
  ];
  const series = lines.map(({ name }, line) => ({
    label: name,
    stroke: LINE_COLORS[line % LINE_COLORS.length],
    width: 1.5,
  }));
  // The labels of the axis as Grafana writes them, for as many values as an axis can have ticks.
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  const ticks = [0, 1, 2, 3, 4].map((quarter) => (highest * quarter) / 4);
  const labels = ticks.map(
    (tick) => show(tick, { ...fieldConfig(panel, ''), mappings: [] }, nowMs).text,
  );
  return `<div id="plot${index}"></div><script>{
    const box = document.getElementById('plot${index}').parentElement;
    new uPlot({ width: box.clientWidth - 20, height: box.clientHeight - ${lines.length > 12 ? 40 : 110},
      legend: { show: ${lines.length <= 12}, live: false },
      scales: { y: { range: [0, ${highest * 1.05}] } },
      axes: [{}, { size: 80, splits: () => ${JSON.stringify(ticks)}, values: () => ${JSON.stringify(labels)} }],
      series: [{}, ...${JSON.stringify(series)}] }, ${JSON.stringify(data)}, document.getElementById('plot${index}'));
  }</script>`;
}

/** Grafana's colour names include shades. One shade of each colour is enough here. */
function colorOf(name: string): string {
  const plain = name.replace(/^(super-light|light|semi-dark|dark)-/, '');
  return COLORS[plain] ?? (name.startsWith('#') ? name : String(COLORS.text));
}

function inHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
