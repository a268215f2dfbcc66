import { tableOf } from '../../grafana/preview/table.ts';
import type { Prometheus } from '../support/prometheus.ts';
import { panel, type Query, queries } from './committed.ts';

/** The queries of the dashboard with these choices of its variables. */
export function chosen(
  instance: readonly string[] | 'all',
  host: readonly string[] | 'all' = 'all',
): readonly Query[] {
  return queries({ instance, host, window: '1h', rangeSeconds: 3600 });
}

/** What the panels beside the table show now, by panel and query: values, with the legend if there is one. */
export async function values(prometheus: Prometheus, of: readonly Query[]) {
  const shown: Record<string, (number | string)[]> = {};
  for (const { panel, refId, expr } of of) {
    if (panel === 'Hosts') continue;
    shown[`${panel} ${refId}`] = (await prometheus.query(expr))
      .map(({ labels: { host, kind, severity }, value }) => {
        const rounded = Number(value.toPrecision(12));
        const legend = host ?? kind ?? severity;
        return legend === undefined ? rounded : `${legend} ${rounded}`;
      })
      .sort();
  }
  return shown;
}

/** The rows of the table as their words. */
export async function table(
  prometheus: Prometheus,
  of: readonly Query[],
  nowMs: number,
): Promise<string[]> {
  const frames = new Map<string, Awaited<ReturnType<Prometheus['query']>>>();
  for (const { panel, refId, expr } of of) {
    if (panel === 'Hosts') frames.set(String(refId), await prometheus.query(expr));
  }
  const { rows } = tableOf(panel('Hosts'), frames, nowMs);
  return rows.map((cells) => cells.map(({ text }) => text).join(' | '));
}
