import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import type * as grafana from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TableFieldConfig,
  Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesFieldConfig,
  Options as TimeSeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/*
 * Grafana's own types of a dashboard, as strict as they can be had: where Grafana's dashboard leaves open
 * what belongs to the kind of a panel (`options`, `custom`, `targets`), the types of that kind are put in,
 * and only the kinds, properties and transformations that it knows are let through.
 */

/** A dashboard as JSON. */
export type GrafanaDashboard = Json<Omit<grafana.Dashboard, 'panels'>> & { panels: GrafanaPanel[] };

type GrafanaPanel =
  | PanelOf<'stat', StatOptions, object>
  | PanelOf<'table', TableOptions, TableFieldConfig>
  | PanelOf<'timeseries', TimeSeriesOptions, TimeSeriesFieldConfig>;

type PanelOf<Type extends string, Options, Custom> = Json<
  Omit<grafana.Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations'>
> & {
  type: Type;
  options: Json<Options>;
  fieldConfig: {
    defaults: Json<Omit<grafana.FieldConfig, 'custom'>> & { custom?: Json<Partial<Custom>> };
    overrides: {
      matcher: { id: 'byName'; options: string };
      properties: Property<Custom>[];
    }[];
  };
  targets: Target[];
  transformations?: Transformation[];
};

type Target = Json<Omit<Dataquery, '_implementsDataqueryVariant' | 'expr' | 'refId'>> & {
  expr: string;
  refId: string;
};

type Property<Custom> =
  | PropertyOf<Omit<grafana.FieldConfig, 'custom'>, ''>
  | PropertyOf<Custom, 'custom.'>;

type PropertyOf<Config, Prefix extends string> = {
  [Key in keyof Config & string]-?: {
    id: `${Prefix}${Key}`;
    value: Json<NonNullable<Config[Key]>>;
  };
}[keyof Config & string];

/** Those of `@grafana/data`, which has no types of their options in `@grafana/schema`. */
type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | {
      id: 'organize';
      options: {
        excludeByName: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    }
  | {
      id: 'sortBy';
      options: { fields: Record<string, never>; sort: [{ field: string; desc?: boolean }] };
    };

/** The texts of an enum instead of the enum, which no text in JSON is assignable to. */
type Json<T> = 0 extends 1 & T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends readonly (infer Element)[]
        ? Json<Element>[]
        : T extends object
          ? { [Key in keyof T]: Json<T[Key]> }
          : T;
