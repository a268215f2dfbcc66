import type {
  FieldConfig,
  Panel,
  ThresholdsConfig,
  ValueMapping,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { format } from './format.ts';

/** How a value is displayed. */
export interface Shown {
  readonly text: string;
  readonly color: string;
}

/** The settings of a field: those of the panel, with the overrides for fields of this name on top. */
export function fieldConfig(panel: Panel, name: string): FieldConfig {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const properties = overrides
    .filter(({ matcher }) => matcher.id === 'byName' && matcher.options === name)
    .flatMap(({ properties }) => properties.map(({ id, value }) => [id, value]));
  return { ...defaults, ...Object.fromEntries(properties) };
}

/** An undefined value is missing, such as that of a host without a row. */
export function show(value: number | undefined, config: FieldConfig, nowMs: number): Shown {
  const mapped = mapping(value, config.mappings ?? []);
  const color = mapped?.color ?? colorOf(value, config);
  if (mapped?.text !== undefined) return { text: mapped.text, color };
  if (value === undefined) return { text: config.noValue ?? '', color };
  return { text: format(value, config.unit ?? '', nowMs), color };
}

function mapping(value: number | undefined, mappings: readonly ValueMapping[]) {
  for (const { type, options } of mappings) {
    if (type === 'value' && value !== undefined) {
      const result = options[String(value)];
      if (result !== undefined) return result;
    }
    if (type === 'range' && value !== undefined) {
      const { from, to, result } = options;
      if (value >= (from ?? -Infinity) && value <= (to ?? Infinity)) return result;
    }
    if (type === 'special' && value === undefined) return options.result;
  }
  return undefined;
}

function colorOf(value: number | undefined, { color, thresholds }: FieldConfig): string {
  if (color?.mode === 'fixed') return color.fixedColor ?? 'text';
  return value === undefined ? 'text' : thresholdColor(value, thresholds);
}

function thresholdColor(value: number, thresholds: ThresholdsConfig | undefined): string {
  const reached = thresholds?.steps.filter(({ value: from }) => from === null || value >= from);
  return reached?.at(-1)?.color ?? 'text';
}
