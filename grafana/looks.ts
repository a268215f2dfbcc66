import {
  type DynamicConfigValue,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  SpecialValueMatch,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
} from '@grafana/grafana-foundation-sdk/dashboard';

/** Whole numbers, with the separators of the reader's language. */
export const COUNT = 'locale';

/** Colours from these values on; the first is the colour of all below. */
export type Steps = readonly [
  base: string,
  ...rest: readonly (readonly [from: number, color: string])[],
];

export function thresholds(steps: Steps): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(thresholdSteps(steps));
}

export function colorBy(mode: FieldColorModeId, fixed?: string): FieldColorBuilder {
  const color = new FieldColorBuilder().mode(mode);
  return fixed === undefined ? color : color.fixedColor(fixed);
}

/** The properties of an override, by their names in Grafana. */
export const override = {
  unit: (value: string): DynamicConfigValue => ({ id: 'unit', value }),
  decimals: (value: number): DynamicConfigValue => ({ id: 'decimals', value }),
  thresholds: (steps: Steps): DynamicConfigValue => ({
    id: 'thresholds',
    value: { mode: ThresholdsMode.Absolute, steps: thresholdSteps(steps) },
  }),
  fixedColor: (fixedColor: string): DynamicConfigValue => ({
    id: 'color',
    value: { mode: FieldColorModeId.Fixed, fixedColor },
  }),
  mappings: (...value: readonly ValueMapping[]): DynamicConfigValue => ({ id: 'mappings', value }),
  cell: (type: 'color-text' | 'color-background'): DynamicConfigValue => ({
    id: 'custom.cellOptions',
    value: type === 'color-text' ? { type } : { type, mode: 'basic' },
  }),
  width: (value: number): DynamicConfigValue => ({ id: 'custom.width', value }),
  filterable: (): DynamicConfigValue => ({ id: 'custom.filterable', value: true }),
};

/** Words instead of numbers. */
export function words(
  ...results: (readonly [value: number, text: string, color: string])[]
): ValueMapping {
  return {
    type: MappingType.ValueToText,
    options: Object.fromEntries(
      results.map(([value, text, color], index) => [String(value), { text, color, index }]),
    ),
  };
}

/** A word for a range of numbers, both ends included. */
export function wordsFrom(from: number, to: number, text: string, color: string): ValueMapping {
  return { type: MappingType.RangeToText, options: { from, to, result: { text, color } } };
}

/** A word for what a host has no row of. */
export function wordForNothing(text: string, color: string): ValueMapping {
  return {
    type: MappingType.SpecialValue,
    options: { match: SpecialValueMatch.NullAndNan, result: { text, color } },
  };
}

function thresholdSteps([base, ...rest]: Steps): Threshold[] {
  return [{ value: null, color: base }, ...rest.map(([value, color]) => ({ value, color }))];
}
