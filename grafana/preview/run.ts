/*
 * Draws the panels of the committed dashboard with data of a live Prometheus that scrapes the demo.
 * A headless Chromium takes a screenshot of them. This is a preview and does not use Grafana. With
 * `--write` the screenshot replaces the one in docs/images; without it, it is a temporary file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import { freePort } from '../../test/support/free-port.ts';
import { interpolate } from '../interpolate.ts';
import { type Drawn, type Line, pageOf } from './page.ts';
import { type Frame, tableOf } from './table.ts';

const HOSTS = '14';
const SECONDS = 90;
const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PICTURE = process.argv.includes('--write')
  ? root('docs/images/dashboard-preview.png')
  : join(tmpdir(), 'dashboard-preview.png');

const directory = mkdtempSync(join(tmpdir(), 'restic-manager-preview-'));
const children: ChildProcess[] = [];
try {
  const { config, target } = await startDemo();
  const prometheus = await startPrometheus(config);
  console.error(`collecting for ${SECONDS} seconds`);
  await setTimeout(SECONDS * 1000);
  const page = await draw(prometheus, target);
  await takePicture(page);
  console.log(PICTURE);
} finally {
  for (const child of children) child.kill('SIGINT');
  await setTimeout(1_000);
  rmSync(directory, { recursive: true, force: true });
}

async function startDemo(): Promise<{ config: string; target: string }> {
  const args = [root('src/cli.ts'), 'demo', '--hosts', HOSTS, '--listen', '127.0.0.1:0'];
  const demo = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(demo);
  return new Promise((resolve, reject) => {
    let text = '';
    demo.stdout.on('data', (chunk) => {
      text += chunk;
      const config = /^global:\n[\s\S]*?targets: \['(.*)'\]\n/m.exec(text);
      if (config?.[1] === undefined) return;
      resolve({ config: config[0].replace('5s', '2s'), target: config[1] });
    });
    demo.once('exit', () => reject(new Error(`the demo ended: ${text}`)));
  });
}

async function startPrometheus(config: string): Promise<string> {
  const file = join(directory, 'prometheus.yml');
  writeFileSync(file, config);
  const address = `127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${address}`,
  ];
  const prometheus = spawn('prometheus', args, { stdio: 'ignore' });
  children.push(prometheus);
  await once(prometheus, 'spawn');
  return `http://${address}`;
}

async function draw(prometheus: string, target: string): Promise<string> {
  const json = readFileSync(root('grafana/restic-manager-dashboard.json'), 'utf8');
  const dashboard: Omit<Dashboard, 'panels'> & { panels: Panel[] } = JSON.parse(json);
  const now = Date.now() / 1000;
  const choices = { instance: [target], host: 'all', window: '1h', rangeSeconds: SECONDS } as const;
  const drawn = dashboard.panels.map(async (panel): Promise<readonly [Panel, Drawn]> => {
    const targets = (panel.targets ?? []) as Dataquery[];
    const answers = await Promise.all(
      targets.map(async (query) => {
        const expr = interpolate(query.expr, choices);
        return { query, lines: await queryRange(prometheus, expr, now, query.legendFormat ?? '') };
      }),
    );
    return [panel, drawnAs(panel, answers, now)];
  });
  return pageOf(await Promise.all(drawn), now * 1000);
}

interface Answer {
  readonly query: Dataquery;
  readonly lines: readonly (Line & { readonly labels: Readonly<Record<string, string>> })[];
}

function drawnAs(panel: Panel, answers: readonly Answer[], now: number): Drawn {
  const latest = ({ points }: Line) => points.at(-1)?.[1] ?? Number.NaN;
  switch (panel.type) {
    case 'stat': {
      const lines = answers.flatMap((answer) => answer.lines);
      return { kind: 'stat', values: lines.map((line) => [line.name, latest(line)]) };
    }
    case 'table': {
      const frames = new Map<string, Frame>(
        answers.map(({ query, lines }) => [
          query.refId ?? '',
          lines.map((line) => ({ labels: line.labels, value: latest(line) })),
        ]),
      );
      return { kind: 'table', table: tableOf(panel, frames, now * 1000) };
    }
    default:
      return { kind: 'timeseries', lines: answers.flatMap((answer) => answer.lines) };
  }
}

async function queryRange(prometheus: string, expr: string, now: number, legend: string) {
  const parameters = { query: expr, start: `${now - SECONDS}`, end: `${now}`, step: '2' };
  const url = `${prometheus}/api/v1/query_range?${new URLSearchParams(parameters)}`;
  const answer = (await (await fetch(url)).json()) as QueryAnswer;
  const { status, data, error } = answer;
  if (status !== 'success' || data === undefined) throw new Error(`${expr}: ${error}`);
  return data.result
    .filter(({ values }) => (values.at(-1)?.[0] ?? 0) > now - 10)
    .map(({ metric, values }) => ({
      labels: metric,
      name: legend.replace(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
      points: values.map(([time, value]) => [time, Number(value)] as const),
    }));
}

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly values: readonly (readonly [time: number, value: string])[];
    }[];
  };
}

async function takePicture(page: string): Promise<void> {
  const server = createServer((request, response) => {
    const name = request.url === '/' ? undefined : request.url?.slice(1);
    if (name === undefined) response.end(page);
    else if (!/^uPlot[.\w]*$/.test(name)) response.writeHead(404).end();
    else response.end(readFileSync(root(`node_modules/uplot/dist/${name}`)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  mkdirSync(root('docs/images'), { recursive: true });
  const browser = spawn(
    'chromium',
    [
      ...'--headless --no-sandbox --disable-gpu --disable-quic --no-first-run'.split(' '),
      ...'--disable-background-networking --disable-component-update --disable-sync'.split(' '),
      `--user-data-dir=${join(directory, 'browser')}`,
      '--hide-scrollbars',
      '--window-size=1400,1180',
      '--virtual-time-budget=2000',
      `--screenshot=${PICTURE}`,
      `http://127.0.0.1:${port}/`,
    ],
    { stdio: 'ignore' },
  );
  try {
    const [code] = await once(browser, 'exit');
    if (code !== 0) throw new Error(`chromium ended with code ${code}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
