import { describe, expect, it } from 'vitest';
import { fnv1a64, parseShard, shardOf } from '../../src/contract/shard.ts';
import { ulidOf } from '../support/ulid.ts';

const HOSTS = Array.from({ length: 20_000 }, (_, n) => ulidOf(n * 7));

describe('the hash of a host id', () => {
  // http://www.isthe.com/chongo/src/fnv/test_fnv.c
  it.each([
    ['', 0xcbf29ce484222325n],
    ['a', 0xaf63dc4c8601ec8cn],
    ['foobar', 0x85944171f73967e8n],
    ['chongo was here!\n', 0x46810940eff5f915n],
  ])('of %j is that of FNV-1a with 64 bits', (text, hash) => {
    expect(fnv1a64(text)).toBe(hash);
  });
});

describe('a shard', () => {
  it.each([1, 2, 3, 30])('of %i has its part of the hosts', (count) => {
    const sizes = new Array<number>(count).fill(0);
    for (const hostId of HOSTS)
      sizes[shardOf(hostId, count)] = (sizes[shardOf(hostId, count)] ?? 0) + 1;
    const fair = HOSTS.length / count;
    for (const size of sizes) expect(Math.abs(size - fair)).toBeLessThan(fair / 5);
  });

  it.each([1, 2, 3, 9])('that is added to %i takes hosts, and no other shard gets any', (count) => {
    const moved = HOSTS.filter((hostId) => shardOf(hostId, count) !== shardOf(hostId, count + 1));
    expect(new Set(moved.map((hostId) => shardOf(hostId, count + 1)))).toEqual(new Set([count]));
    expect(moved.length / HOSTS.length).toBeCloseTo(1 / (count + 1), 1);
  });

  it('of a host stays the same in every version', () => {
    const shards = [2, 3, 5, 30].map((count) => shardOf('01JD8Z5N3V9Q4R7T2W6X8Y0A1B', count));
    expect(shards).toEqual([0, 0, 4, 13]);
  });

  it.each([
    ['0/1', { index: 0, count: 1 }],
    ['2/3', { index: 2, count: 3 }],
    ['999/1000', { index: 999, count: 1_000 }],
  ])('%s is read', (text, shard) => {
    expect(parseShard(text)).toEqual(shard);
  });

  it.each(['', '1', '3/3', '-1/3', '0/0', '0/1001', '1/3/5', ' 0/1', '0 / 1', '0.5/1', 'a/b'])(
    '%j is none',
    (text) => {
      expect(parseShard(text)).toBeUndefined();
    },
  );
});
