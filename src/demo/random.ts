/** A uniformly distributed number from `min` up to, but not including, `max`. */
export function between(min: number, max: number): number {
  return min + Math.random() * (max - min);
}

export function chance(probability: number): boolean {
  return Math.random() < probability;
}

export function pick<T>(items: readonly [T, ...T[]]): T {
  return items[Math.floor(Math.random() * items.length)] ?? items[0];
}

/**
 * A log-normally distributed number, as durations and sizes in real fleets are: never negative,
 * with a long tail, and half of the time below `median`. With a `spread` of 1, two thirds of the
 * numbers are within a factor of e of the median.
 */
export function logNormal(median: number, spread: number): number {
  // Box-Muller transform. 1 - random() is never 0, whose logarithm would be infinite.
  const normal =
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return median * Math.exp(spread * normal);
}
