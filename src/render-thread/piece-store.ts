import { type BodyLayout, WORDS_PER_PLACE } from '../shared/body-layout.ts';

/*
 * Where the pieces of a body are kept: a log in shared memory. The render thread appends what it renders and
 * never writes to it again; the thread that sends reads it in place. So all bodies share the pieces that are
 * the same in them, and a body that a slow reader holds for half a minute costs what changed in that time.
 *
 * The log is cut into segments. What is replaced leaves a hole. Once the pieces still in use fill less than
 * KEPT_SHARE of a segment they are moved to the end of the log and the segment is retired, so that the log is
 * never much larger than what is in it, whatever the sizes that come and go, with no free lists and nothing
 * to fragment.
 *
 * A retired segment may be written to again once nobody can read it any more: it was part of the bodies from
 * the render that began it up to the one before that which retired it, and those of them that somebody still
 * holds are told with each render. That is all that the two threads have to agree on.
 */
export const SEGMENT_BYTES = 1024 * 1024;
const KEPT_SHARE = 0.6;
/** Pieces start at cache lines: on some processors copying to between them takes four times as long. */
const ALIGNMENT = 64;
/** Segments kept ready beyond those that the last render needed. */
const SPARE_SEGMENTS = 2;

/** Bytes of one body, and perhaps of the next ones. */
export interface Piece {
  readonly length: number;
  /** Where it is, which changes when it is moved; undefined once it is dropped. */
  segment: Segment | undefined;
  offset: number;
}

export interface Segment {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Buffer;
  /** The first render whose body may have pieces here. */
  born: number;
  /** The first render whose body has none here any more. */
  retired: number;
  used: number;
  live: number;
  pieces: Piece[];
}

/** Bytes of a store: in pieces, and in segments that are there for the bodies in the hands of readers alone. */
export interface StoreSize {
  readonly live: number;
  readonly pinned: number;
}

export class PieceStore {
  readonly #segments = new Set<Segment>();
  #retired: Segment[] = [];
  #spare: Segment[] = [];
  #current: Segment | undefined;
  #render = 0;
  #held: readonly number[] = [];

  /** Begins a render with a number higher than all before; `held` are those whose bodies are still in use. */
  begin(render: number, held: readonly number[]): void {
    this.#render = render;
    this.#held = held;
    this.#spare.splice(SPARE_SEGMENTS);
    for (const segment of this.#retired) if (!this.#isHeld(segment)) this.#spare.push(segment);
    this.#retired = this.#retired.filter((segment) => this.#isHeld(segment));
  }

  /** Keeps a copy of `bytes`. */
  put(bytes: Buffer): Piece {
    const piece: Piece = { length: bytes.length, segment: undefined, offset: 0 };
    this.#append(piece, bytes);
    return piece;
  }

  drop(piece: Piece): void {
    if (piece.segment === undefined) return;
    piece.segment.live -= piece.length;
    piece.segment = undefined;
  }

  /** To be called when all of a render's pieces are in, before anybody is told where they are. */
  tidy(): void {
    for (const segment of this.#segments) {
      if (segment === this.#current || segment.live >= segment.used * KEPT_SHARE) continue;
      for (const piece of segment.pieces) {
        if (piece.segment !== segment) continue;
        this.#append(piece, this.read(piece));
      }
      this.#retire(segment, this.#render);
    }
  }

  /** Drops all pieces, between two renders: the last one's body may still be in use. */
  clear(): void {
    for (const segment of this.#segments) this.#retire(segment, this.#render + 1);
    this.#current = undefined;
  }

  /** The bytes of a piece that was not dropped, in place. */
  read({ segment, offset, length }: Piece): Buffer {
    if (segment === undefined) throw new Error('read: the piece was dropped');
    return segment.bytes.subarray(offset, offset + length);
  }

  /** Where these pieces are, for another thread. */
  layOut(pieces: readonly Piece[]): BodyLayout {
    const segments = [...this.#segments];
    const numbers = new Map(segments.map((segment, number) => [segment, number]));
    const places = new Uint32Array(pieces.length * WORDS_PER_PLACE);
    let byteLength = 0;
    let at = 0;
    for (const { segment, offset, length } of pieces) {
      const number = segment && numbers.get(segment);
      if (number === undefined) throw new Error('layOut: a piece was dropped');
      places[at++] = number;
      places[at++] = offset;
      places[at++] = length;
      byteLength += length;
    }
    return { segments: segments.map(({ buffer }) => buffer), places, byteLength };
  }

  get size(): StoreSize {
    let live = 0;
    for (const segment of this.#segments) live += segment.live;
    let pinned = 0;
    for (const segment of this.#retired) if (this.#isHeld(segment)) pinned += segment.used;
    return { live, pinned };
  }

  #isHeld({ born, retired }: Segment): boolean {
    return this.#held.some((render) => born <= render && render < retired);
  }

  #retire(segment: Segment, render: number): void {
    this.#segments.delete(segment);
    segment.pieces = [];
    segment.retired = render;
    this.#retired.push(segment);
  }

  #append(piece: Piece, bytes: Buffer): void {
    const segment = this.#withRoom(bytes.length);
    // Not `set`: that copies into shared memory word by word, which takes four times as long.
    bytes.copy(segment.bytes, segment.used);
    piece.segment = segment;
    piece.offset = segment.used;
    segment.used += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
    segment.live += bytes.length;
    segment.pieces.push(piece);
  }

  #withRoom(bytes: number): Segment {
    const { used = 0, buffer } = this.#current ?? {};
    if (buffer !== undefined && used + bytes <= buffer.byteLength) return this.#current as Segment;
    const segment = this.#emptySegment(bytes);
    this.#segments.add(segment);
    this.#current = segment;
    return segment;
  }

  #emptySegment(bytes: number): Segment {
    const fresh = { born: this.#render, retired: Number.NaN, used: 0, live: 0, pieces: [] };
    const spare = this.#spare.at(-1);
    if (spare !== undefined && bytes <= spare.buffer.byteLength) {
      this.#spare.pop();
      return Object.assign(spare, fresh);
    }
    const buffer = new SharedArrayBuffer(Math.max(bytes, SEGMENT_BYTES));
    return { buffer, bytes: Buffer.from(buffer), ...fresh };
  }
}
