import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Piece, PieceStore, SEGMENT_BYTES } from '../../src/render-thread/piece-store.ts';
import { BodyBytes, type BodyLayout, BodyReader } from '../../src/shared/body-layout.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const pieceOf = (byte: number, length: number) => Buffer.alloc(length, byte);

/** Renders one after the other; each replaces some pieces, and some of the bodies are held for a while. */
class Log {
  readonly store = new PieceStore();
  readonly held = new Map<number, { layout: BodyLayout; parts: readonly Buffer[] }>();
  #pieces: { piece: Piece; bytes: Buffer }[] = [];
  #render = 0;

  render(replaced: readonly { at: number; length: number }[]): number {
    const render = ++this.#render;
    this.store.begin(render, [...this.held.keys()]);
    for (const { at, length } of replaced) {
      const bytes = pieceOf(render % 251, length);
      const old = this.#pieces[at];
      this.#pieces[at] = { piece: this.store.put(bytes), bytes };
      if (old !== undefined) this.store.drop(old.piece);
    }
    this.store.tidy();
    const present = this.#pieces.filter((piece) => piece !== undefined);
    const layout = this.store.layOut(present.map(({ piece }) => piece));
    this.held.set(render, { layout, parts: present.map(({ bytes }) => bytes) });
    return render;
  }

  check(): void {
    for (const { layout, parts } of this.held.values()) {
      expect(read(layout).equals(Buffer.concat(parts)), 'as it was when it was rendered').toBe(
        true,
      );
    }
  }
}

function read(layout: BodyLayout): Buffer {
  const reader = new BodyReader(new BodyBytes(layout));
  const slices: Buffer[] = [];
  for (let at = 0; at < reader.total; at += slices.at(-1)?.length ?? 0) {
    slices.push(Buffer.from(reader.read(at)));
  }
  return Buffer.concat(slices);
}

const replacement = fc.record({
  at: fc.nat({ max: 20 }),
  length: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 300_000 })).map((length) => length + 1),
});

test('whatever is replaced and whoever holds what, a body stays as it was', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ replaced: fc.array(replacement, { maxLength: 8 }), release: fc.nat() }),
        { maxLength: 40, size: 'max' },
      ),
      (renders) => {
        const log = new Log();
        for (const { replaced, release } of renders) {
          log.render(replaced);
          log.check();
          if (log.held.size > 3) log.held.delete([...log.held.keys()][release % 4] ?? 0);
        }
      },
    ),
    // Shrinking takes minutes. To shrink a failure, run it again without `endOnFailure`, with its seed and path.
    { numRuns: 50, endOnFailure: true },
  );
});

test('the log stays within twice of what is in it, however often that is replaced', () => {
  const log = new Log();
  const used = new Set<SharedArrayBuffer>();
  for (let at = 0; at < 200; at++) log.held.delete(log.render([{ at, length: 50_000 }]));
  for (let round = 0; round < 2_000; round++) {
    const render = log.render([{ at: (round * 31) % 200, length: 40_000 + (round % 20_000) }]);
    for (const segment of log.held.get(render)?.layout.segments ?? []) used.add(segment);
    log.held.delete(render);
  }
  const { live, pinned } = log.store.size;
  expect(live).toBeGreaterThan(200 * 40_000);
  expect(pinned).toBe(0);
  expect(used.size * SEGMENT_BYTES).toBeLessThan(2 * live + 8 * SEGMENT_BYTES);
});

test('memory is not used again while the body that it was part of is held, and is as soon as it is not', () => {
  const log = new Log();
  const all = Array.from({ length: 20 }, (_, at) => ({ at, length: 200_000 }));
  const buffers = (render: number) => log.held.get(render)?.layout.segments ?? [];
  const first = log.render(all);
  const second = log.render(all);
  const third = log.render(all);
  log.check();
  expect(buffers(second).some((buffer) => buffers(first).includes(buffer))).toBe(false);
  expect(buffers(third).some((buffer) => buffers(first).includes(buffer))).toBe(false);
  expect(log.store.size.pinned).toBeGreaterThanOrEqual(2 * 20 * 200_000);

  const freed = buffers(first);
  log.held.delete(first);
  const fourth = log.render(all);
  log.check();
  expect(buffers(fourth).filter((buffer) => freed.includes(buffer)).length).toBeGreaterThan(0);
});

test('memory that is not needed any more is given back', async () => {
  const log = new Log();
  const many = Array.from({ length: 30 }, (_, at) => ({ at, length: SEGMENT_BYTES }));
  const few = many.map(({ at }) => ({ at, length: 10 }));
  const render = log.render(many);
  const memory = log.held.get(render)?.layout.segments.map((buffer) => new WeakRef(buffer)) ?? [];
  expect(memory.length).toBeGreaterThanOrEqual(30);
  log.held.delete(render);
  for (let n = 0; n < 5; n++) log.held.delete(log.render(few));
  // A WeakRef keeps its object to the end of the turn in which it was created.
  await setImmediate();
  collectGarbage();
  expect(memory.filter((buffer) => buffer.deref() !== undefined).length).toBeLessThan(5);
});

test('what nobody holds is not counted as pinned, though it is free only with the next render', () => {
  const log = new Log();
  const all = Array.from({ length: 20 }, (_, at) => ({ at, length: 200_000 }));
  log.held.delete(log.render(all));
  log.held.delete(log.render(all));
  expect(log.store.size.pinned).toBe(0);
});

test('a piece larger than a segment has one of its own', () => {
  const log = new Log();
  log.render([
    { at: 0, length: 10 },
    { at: 1, length: 3 * SEGMENT_BYTES },
    { at: 2, length: 10 },
  ]);
  log.check();
});

test('a dropped piece can be neither read nor laid out', () => {
  const store = new PieceStore();
  store.begin(1, []);
  const piece = store.put(pieceOf(1, 10));
  store.drop(piece);
  store.drop(piece);
  expect(store.size.live).toBe(0);
  expect(() => store.read(piece)).toThrow('dropped');
  expect(() => store.layOut([piece])).toThrow('dropped');
});
