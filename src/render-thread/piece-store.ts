import { type BodyLayout, WORDS_PER_PLACE } from '../shared/body-layout.ts';

/*
 * Keeps the pieces of bodies in a log in shared memory. The render thread appends pieces to the log
 * and never changes them. The loop that sends a body reads its pieces in place. Bodies share the
 * pieces that are the same in them. A slow reader that holds a body for half a minute therefore
 * costs only the memory for what changed in that time.
 *
 * The log consists of segments. A dropped piece leaves a hole. When the pieces that are still in
 * use fill less than KEPT_SHARE of a segment, they are moved to the end of the log and the segment
 * is retired. So the log is never much larger than its pieces. It needs no free lists and does not
 * fragment, whatever the sizes of pieces.
 *
 * A retired segment can be used again once no reader holds a body with pieces in it. Those bodies
 * are of the renders from `born` up to, but not including, `retired`. The caller of each render
 * passes the numbers of the renders whose bodies are still held. The two threads need no other
 * synchronization.
 */
export const SEGMENT_BYTES = 1024 * 1024;
const KEPT_SHARE = 0.6;
/**
 * Pieces start at cache lines. On some processors, copying to other addresses takes four times as
 * long.
 */
const ALIGNMENT = 64;
/** Unused segments that are kept beyond the needs of the last render. */
const SPARE_SEGMENTS = 2;

/** A range of bytes in the log. Several bodies can contain it. */
export interface Piece {
  readonly length: number;
  /**
   * The current place, which changes when the piece is moved. `segment` is undefined once the piece
   * is dropped.
   */
  segment: Segment | undefined;
  offset: number;
}

export interface Segment {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Buffer;
  /** The first render whose body may contain pieces of this segment. */
  born: number;
  /** The first render whose body contains none of them any more. */
  retired: number;
  used: number;
  live: number;
  pieces: Piece[];
}

/**
 * Sizes in bytes: of all pieces in use, and of the segments that are kept only because a reader
 * holds an older body.
 */
export interface LogSize {
  readonly live: number;
  readonly pinned: number;
}

export class PieceStore {
  readonly #segments = new Set<Segment>();
  #retired: Segment[] = [];
  #spare: Segment[] = [];
  #current: Segment | undefined;
  #renderNumber = 0;
  #heldRenders: readonly number[] = [];

  /**
   * Begins a render.
   * @param renderNumber higher than in all calls before
   * @param heldRenders numbers of earlier renders whose bodies a reader still holds
   */
  begin(renderNumber: number, heldRenders: readonly number[]): void {
    this.#renderNumber = renderNumber;
    this.#heldRenders = heldRenders;
    this.#spare.splice(SPARE_SEGMENTS);
    for (const segment of this.#retired) if (!this.#isHeld(segment)) this.#spare.push(segment);
    this.#retired = this.#retired.filter((segment) => this.#isHeld(segment));
  }

  /** Appends a copy of `bytes` to the log. */
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

  /**
   * Moves pieces out of segments that are mostly holes. Must be called after the last `put` of a
   * render and before `layOut`.
   */
  tidy(): void {
    for (const segment of this.#segments) {
      if (segment === this.#current || segment.live >= segment.used * KEPT_SHARE) continue;
      for (const piece of segment.pieces) {
        if (piece.segment !== segment) continue;
        this.#append(piece, this.read(piece));
      }
      this.#retire(segment, this.#renderNumber);
    }
  }

  /**
   * Drops all pieces. Must be called between two renders. The body of the last render may still be
   * held, so it stays intact.
   */
  clear(): void {
    for (const segment of this.#segments) this.#retire(segment, this.#renderNumber + 1);
    this.#current = undefined;
  }

  /** Returns the bytes of a piece in place. The piece must not have been dropped. */
  read({ segment, offset, length }: Piece): Buffer {
    if (segment === undefined) throw new Error('read: the piece was dropped');
    return segment.bytes.subarray(offset, offset + length);
  }

  /** Lists the places of these pieces, so that another thread can read them. */
  layOut(pieces: readonly Piece[]): BodyLayout {
    const segments = [...this.#segments];
    const segmentIndexes = new Map(segments.map((segment, number) => [segment, number]));
    const places = new Uint32Array(pieces.length * WORDS_PER_PLACE);
    let byteLength = 0;
    let at = 0;
    for (const { segment, offset, length } of pieces) {
      const number = segment && segmentIndexes.get(segment);
      if (number === undefined) throw new Error('layOut: a piece was dropped');
      places[at++] = number;
      places[at++] = offset;
      places[at++] = length;
      byteLength += length;
    }
    return { segments: segments.map(({ buffer }) => buffer), places, byteLength };
  }

  get size(): LogSize {
    let live = 0;
    for (const segment of this.#segments) live += segment.live;
    let pinned = 0;
    for (const segment of this.#retired) if (this.#isHeld(segment)) pinned += segment.used;
    return { live, pinned };
  }

  #isHeld({ born, retired }: Segment): boolean {
    return this.#heldRenders.some((renderNumber) => born <= renderNumber && renderNumber < retired);
  }

  #retire(segment: Segment, renderNumber: number): void {
    this.#segments.delete(segment);
    segment.pieces = [];
    segment.retired = renderNumber;
    this.#retired.push(segment);
  }

  #append(piece: Piece, bytes: Buffer): void {
    const segment = this.#segmentWithRoom(bytes.length);
    // `set` copies into shared memory word by word, which takes four times as long.
    bytes.copy(segment.bytes, segment.used);
    piece.segment = segment;
    piece.offset = segment.used;
    segment.used += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
    segment.live += bytes.length;
    segment.pieces.push(piece);
  }

  #segmentWithRoom(bytes: number): Segment {
    const { used = 0, buffer } = this.#current ?? {};
    if (buffer !== undefined && used + bytes <= buffer.byteLength) return this.#current as Segment;
    const segment = this.#emptySegment(bytes);
    this.#segments.add(segment);
    this.#current = segment;
    return segment;
  }

  #emptySegment(bytes: number): Segment {
    const fresh = { born: this.#renderNumber, retired: Number.NaN, used: 0, live: 0, pieces: [] };
    const spare = this.#spare.at(-1);
    if (spare !== undefined && bytes <= spare.buffer.byteLength) {
      this.#spare.pop();
      return Object.assign(spare, fresh);
    }
    const buffer = new SharedArrayBuffer(Math.max(bytes, SEGMENT_BYTES));
    return { buffer, bytes: Buffer.from(buffer), ...fresh };
  }
}
