import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { fieldConfig, type Shown, show } from './field.ts';

/** The result of an instant query. */
export type Frame = readonly {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}[];

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Shown[])[];
}

interface OrganizeOptions {
  readonly excludeByName: Readonly<Record<string, boolean>>;
  readonly indexByName: Readonly<Record<string, number>>;
  readonly renameByName: Readonly<Record<string, string>>;
}

type Row = Map<string, string | number>;

/**
 * Builds a table from frames as Grafana does with the transformations of the panel: merge,
 * organize, sortBy.
 */
export function tableOf(panel: Panel, frames: ReadonlyMap<string, Frame>, nowMs: number): Table {
  const [merge, organize, sortBy, ...more] = panel.transformations ?? [];
  if (merge?.id !== 'merge' || organize?.id !== 'organize' || sortBy?.id !== 'sortBy' || more[0]) {
    throw new Error('the preview does not support these transformations');
  }
  const options: OrganizeOptions = organize.options;
  const unsorted = merged(frames, nowMs);
  const names = namesOf(unsorted, options);
  const { field, desc } = sortBy.options.sort[0];
  const sortName = names.find((name) => options.renameByName[name] === field);
  const rows = unsorted.sort((a, b) => {
    const order = Number(a.get(sortName ?? '')) - Number(b.get(sortName ?? ''));
    return desc ? -order : order;
  });
  return {
    columns: names.map((name) => options.renameByName[name] ?? name),
    rows: rows.map((row) =>
      names.map((name) => {
        const value = row.get(name);
        if (typeof value === 'string') return { text: value, color: 'text' };
        const config = fieldConfig(panel, options.renameByName[name] ?? name);
        return show(value, config, nowMs);
      }),
    ),
  };
}

/** The names of the columns: those with a place in their order, then all others that are not excluded. */
function namesOf(rows: readonly Row[], { indexByName, excludeByName }: OrganizeOptions): string[] {
  const placed = Object.keys(indexByName).sort(
    (a, b) => Number(indexByName[a]) - Number(indexByName[b]),
  );
  const all = [...placed, ...rows.flatMap((row) => [...row.keys()])];
  return [...new Set(all)].filter((name) => !excludeByName[name]);
}

/** Puts all values into one row that agree in the labels which all frames have. */
function merged(frames: ReadonlyMap<string, Frame>, nowMs: number): Row[] {
  const rows = new Map<string, Row>();
  const all = [...frames.values()].flat();
  const shared = Object.keys(all[0]?.labels ?? {}).filter((label) =>
    all.every(({ labels }) => label in labels),
  );
  for (const [refId, frame] of frames) {
    for (const { labels, value } of frame) {
      const key = JSON.stringify(shared.map((label) => labels[label]));
      const row: Row = rows.get(key) ?? new Map([['Time', nowMs]]);
      for (const [label, text] of Object.entries(labels)) row.set(label, text);
      rows.set(key, row.set(`Value #${refId}`, value));
    }
  }
  return [...rows.values()];
}
