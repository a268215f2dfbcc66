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

/** Unit for whole numbers, with the digit separators of the viewer's language. */
export const COUNT = 'locale';

/** Colours with their lowest values. The first colour also applies to all lower values. */
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

/** Creates an override from properties, which have the names that Grafana uses. */
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

/** Maps numbers to words. */
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

/** Maps a range of numbers, both ends included, to a word. */
export function wordsFrom(from: number, to: number, text: string, color: string): ValueMapping {
  return { type: MappingType.RangeToText, options: { from, to, result: { text, color } } };
}

/** Maps a missing value, of a host without a row, to a word. */
export function wordForNothing(text: string, color: string): ValueMapping {
  return {
    type: MappingType.SpecialValue,
    options: { match: SpecialValueMatch.NullAndNan, result: { text, color } },
  };
}

function thresholdSteps([base, ...rest]: Steps): Threshold[] {
  return [{ value: null, color: base }, ...rest.map(([value, color]) => ({ value, color }))];
}
