import { expect, test } from 'vitest';
import { PieceStore } from '../../src/render-thread/piece-store.ts';
import { BodyBytes, BodyReader } from '../../src/shared/body-layout.ts';

/** Small, large and empty pieces, and the same bytes in a row. */
function bodyOf(lengths: readonly number[]): { reader: BodyReader; bytes: Buffer } {
  const store = new PieceStore();
  store.begin(1, []);
  const parts = lengths.map((length, part) =>
    Buffer.from(Array.from({ length }, (_, at) => (at * 7 + part) % 256)),
  );
  const layout = store.layOut(parts.map((part) => store.put(part)));
  return { reader: new BodyReader(new BodyBytes(layout)), bytes: Buffer.concat(parts) };
}

const MIXED = [10, 0, 3, 200_000, 15_000, 15_000, 0, 16_384, 1, 300_000, 2];

test('slices follow one another from start to end', () => {
  const { reader, bytes } = bodyOf(MIXED);
  expect(reader.total).toBe(bytes.length);
  const slices: Buffer[] = [];
  for (let at = 0; at < reader.total; at += slices.at(-1)?.length ?? 0) {
    const slice = reader.read(at);
    expect(slice.length).toBeGreaterThan(0);
    expect(slice.length).toBeLessThanOrEqual(128 * 1024);
    slices.push(Buffer.from(slice));
  }
  expect(Buffer.concat(slices).equals(bytes)).toBe(true);
});

test('from any offset, forwards and backwards, as sockets that take a part of a slice ask for it', () => {
  const { reader, bytes } = bodyOf(MIXED);
  const offsets = Array.from({ length: 400 }, (_, n) => (n * 104_729) % bytes.length);
  for (const offset of [...offsets, 0, 10, 12, 13, bytes.length - 1]) {
    const slice = reader.read(offset);
    expect(slice.equals(bytes.subarray(offset, offset + slice.length))).toBe(true);
    expect(slice.length).toBeGreaterThan(0);
  }
});

test('many small pieces are put together, so that a small body is one slice', () => {
  const { reader, bytes } = bodyOf(Array.from({ length: 100 }, () => 90));
  expect(reader.read(0).equals(bytes)).toBe(true);
});

test('a body without pieces is one empty slice', () => {
  expect(bodyOf([]).reader.read(0)).toHaveLength(0);
  expect(bodyOf([0, 0]).reader.read(0)).toHaveLength(0);
});
