type Call = readonly [object: Record<string, (...args: unknown[]) => unknown>, method: string];

const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype);

/** The calls by which a reader finds out whether something has changed. */
export const ATOMIC_CALLS: readonly Call[] = [
  [Atomics as never, 'load'],
  [Atomics as never, 'add'],
];

/**
 * Runs `read` and, in its midst, `change`: right before the n-th of these calls; default: all calls by
 * which a reading touches shared memory. `interrupted` is false when the reading needs fewer calls than that.
 */
export function interruptedAt<T>(
  n: number,
  change: () => void,
  read: () => T,
  calls: readonly Call[] = [...ATOMIC_CALLS, [TYPED_ARRAY, 'slice'], [TYPED_ARRAY, 'subarray']],
) {
  let count = 0;
  const restores = calls.map(([object, method]) => {
    const original = object[method] as (...args: unknown[]) => unknown;
    object[method] = function (this: unknown, ...args: unknown[]) {
      if (++count === n) change();
      return original.apply(this, args);
    };
    return () => {
      object[method] = original;
    };
  });
  try {
    const result = read();
    return { result, interrupted: count >= n };
  } finally {
    for (const restore of restores) restore();
  }
}
