import type { Times } from './rules/records.ts';

/*
 * Values of columns that both engines convert alike.
 */
const NONE: Times<never> = Object.freeze({});

/** Parses a column of times by name. Avoids `JSON.parse` for the empty object, which is the most frequent value. */
export function timesOf<Name extends string>(json: string): Times<Name> {
  return json === '{}' ? NONE : JSON.parse(json);
}

export function orUndefined<T>(value: T | null): T | undefined {
  return value ?? undefined;
}
