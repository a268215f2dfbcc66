import type { Role, Row } from '../support/result.ts';
import { figure, scenarioText } from '../support/table.ts';

/*
 * A dot plot. Each contestant has a line with its median as a dot on a logarithmic axis and the
 * middle half of its samples as a bar. All questions use the same kind of plot, so that a reader
 * learns it only once.
 */
interface Theme {
  readonly text: string;
  readonly faint: string;
  readonly grid: string;
  readonly dots: Readonly<Record<Role, string>>;
}

const THEMES: Readonly<Record<'light' | 'dark', Theme>> = {
  light: {
    text: '#1f2328',
    faint: '#59636e',
    grid: '#d1d9e0',
    dots: { own: '#0969da', floor: '#818b98', peer: '#bc4c00' },
  },
  dark: {
    text: '#f0f6fc',
    faint: '#9198a1',
    grid: '#3d444d',
    dots: { own: '#4493f8', floor: '#9198a1', peer: '#f0883e' },
  },
};

const WIDTH = 860;
const LEFT = 210;
const RIGHT = 110;
const LINE = 20;
const TOP = 24;
const FONT = 'font-family="system-ui, sans-serif" font-size="12"';
const ROLE_NAMES: Readonly<Record<Role, string>> = { own: 'ours', floor: 'floor', peer: 'peer' };

export function dotPlot(rows: readonly Row[], theme: keyof typeof THEMES): string {
  const colours = THEMES[theme];
  const { ticks, x } = logAxis(rows);
  const groups = [...Map.groupBy(rows, (row) => scenarioText(row.scenario))];
  const body: string[] = [];
  let y = TOP;
  for (const [title, block] of groups) {
    y += LINE;
    body.push(text(0, y, title, colours.faint, 'start', 'bold'));
    for (const row of block) {
      y += LINE;
      body.push(...line(row, y, x, colours));
    }
    y += LINE / 2;
  }
  const bottom = y + LINE / 2;
  const grid = ticks.flatMap((tick) => [
    `<line x1="${round(x(tick))}" x2="${round(x(tick))}" y1="${TOP}" y2="${bottom}" stroke="${colours.grid}"/>`,
    text(x(tick), bottom + 16, figure(tick), colours.faint, 'middle'),
  ]);
  const { measure = '', unit = '' } = rows[0] ?? {};
  const height = bottom + 44;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ${FONT}>`,
    ...legend(rows, colours),
    ...grid,
    ...body,
    text(
      (LEFT + WIDTH - RIGHT) / 2,
      bottom + 36,
      `${measure}, ${unit} (logarithmic)`,
      colours.faint,
      'middle',
    ),
    '</svg>\n',
  ].join('\n');
}

function line(row: Row, y: number, x: (value: number) => number, colours: Theme): string[] {
  const colour = colours.dots[row.role];
  const [from, to] = [x(row.p25), x(row.p75)].map(round);
  const middle = y - 4;
  const weight = row.role === 'own' ? 'bold' : 'normal';
  return [
    text(LEFT - 12, y, row.contestant, colours.text, 'end', weight),
    `<line x1="${from}" x2="${to}" y1="${middle}" y2="${middle}" stroke="${colour}" stroke-width="4" stroke-opacity="0.4" stroke-linecap="round"/>`,
    `<circle cx="${round(x(row.median))}" cy="${middle}" r="4.5" fill="${colour}"/>`,
    text(
      Math.max(x(row.median), x(row.p75)) + 10,
      y,
      `${figure(row.median)} ${row.unit}`,
      colours.text,
      'start',
      weight,
    ),
  ];
}

function legend(rows: readonly Row[], colours: Theme): string[] {
  const shown = new Set(rows.map(({ role }) => role));
  return [...shown].flatMap((role, index) => {
    const at = LEFT + index * 80;
    return [
      `<circle cx="${at}" cy="10" r="4.5" fill="${colours.dots[role]}"/>`,
      text(at + 10, 14, ROLE_NAMES[role], colours.faint, 'start'),
    ];
  });
}

/** The powers of ten that enclose all medians and quartiles. */
function logAxis(rows: readonly Row[]): { ticks: number[]; x: (value: number) => number } {
  const values = rows.flatMap(({ p25, median, p75 }) => [p25, median, p75]).filter((v) => v > 0);
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const scale = (WIDTH - LEFT - RIGHT) / (high - low);
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step)),
    x: (value) => LEFT + (Math.log10(Math.max(value, 10 ** low)) - low) * scale,
  };
}

function text(
  x: number,
  y: number,
  content: string,
  colour: string,
  anchor: 'start' | 'middle' | 'end',
  weight = 'normal',
): string {
  const escaped = content.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<text x="${round(x)}" y="${y}" fill="${colour}" text-anchor="${anchor}" font-weight="${weight}">${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
