/** A number from `min` up to `max`, all equally likely. */
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
 * A number half of the time below `median`, never negative, with a long tail: how durations and sizes
 * are spread in real fleets. At a `spread` of 1, two thirds lie within a factor of e around the median.
 */
export function logNormal(median: number, spread: number): number {
  // Box-Muller; 1 - random() is never 0, whose logarithm is not finite.
  const normal =
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return median * Math.exp(spread * normal);
}
