/** A part of the hosts: part `index`, counted from 0, of `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** All hosts. */
export const WHOLE_FLEET: Shard = { index: 0, count: 1 };

export const MAX_SHARDS = 1_000;
export const SHARD_EXPECTED = `I/N such as 0/3: part I, counted from 0, of N parts; N at most ${MAX_SHARDS}`;

/** Parses a shard as described by {@link SHARD_EXPECTED}. Returns undefined for any other text. */
export function parseShard(text: string): Shard | undefined {
  const [, index = '', count = ''] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  return count !== '' && isShard(shard) ? shard : undefined;
}

/** Returns whether the numbers are those of a shard. */
export function isShard({ index, count }: Shard): boolean {
  return (
    Number.isInteger(index) &&
    Number.isInteger(count) &&
    index >= 0 &&
    index < count &&
    count <= MAX_SHARDS
  );
}

/**
 * Returns the index of the shard of a host. It is the same in every process. If a shard is added, hosts
 * move only to the new shard.
 * @param count number of shards
 * @see https://arxiv.org/abs/1406.2294 (jump consistent hash)
 * @example
 * ```ts
 * shardOf('01JD8Z5N3V9Q4R7T2W6X8Y0A1B', 3); // 0, 1 or 2
 * ```
 */
export function shardOf(hostId: string, count: number): number {
  if (count === 1) return 0;
  let key = fnv1a64(hostId);
  let shard = 0;
  for (let next = 0; next < count; ) {
    shard = next;
    key = BigInt.asUintN(64, key * 2_862_933_555_777_941_757n + 1n);
    next = Math.floor((shard + 1) * (2 ** 31 / (Number(key >> 33n) + 1)));
  }
  return shard;
}

/**
 * FNV-1a with 64 bits over ASCII text, https://datatracker.ietf.org/doc/draft-eastlake-fnv/. Computed in
 * two halves of 32 bits, because BigInt is ten times as slow. The prime is 2^40 + 0x1b3.
 */
export function fnv1a64(text: string): bigint {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let at = 0; at < text.length; at++) {
    low = (low ^ text.charCodeAt(at)) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}
