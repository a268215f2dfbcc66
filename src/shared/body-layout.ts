/** A body as a list of pieces. The bytes stay in the piece log, in memory that both threads share. */
export interface BodyLayout {
  readonly segments: readonly SharedArrayBuffer[];
  /**
   * Three numbers per piece, in the order of the body: index into `segments`, offset in that
   * segment, length in bytes.
   */
  readonly places: Uint32Array;
  /** Sum of the lengths of all pieces. */
  readonly byteLength: number;
}

/** Numbers per piece in {@link BodyLayout.places}. */
export const WORDS_PER_PLACE = 3;

/**
 * If the rest of the current piece has at least this size, the reader returns it in place. Otherwise it
 * copies consecutive smaller pieces into one slice.
 */
const IN_PLACE_BYTES = 16 * 1024;
/**
 * Upper bound of one slice. A larger slice would keep the event loop from its other work for too
 * long.
 */
const SLICE_BYTES = 128 * 1024;
/**
 * Small pieces are copied here. All readers of a thread share this buffer, so a caller must use up
 * a slice before any reader reads again.
 */
const sliceBuffer = Buffer.allocUnsafeSlow(SLICE_BYTES);

/** The bytes of a body. Any number of readers can share one instance. */
export class BodyBytes {
  readonly layout: BodyLayout;
  readonly #segments: readonly Buffer[];

  constructor(layout: BodyLayout) {
    this.layout = layout;
    this.#segments = layout.segments.map((buffer) => Buffer.from(buffer));
  }

  get length(): number {
    return this.layout.byteLength;
  }

  /** Returns at most `limit` bytes of piece `number`, from its byte `start` on, without copying. */
  piece(number: number, start: number, limit: number): Buffer {
    const at = number * WORDS_PER_PLACE;
    const segment = this.#segments[this.layout.places[at] as number] as Buffer;
    const offset = (this.layout.places[at + 1] as number) + start;
    return segment.subarray(offset, offset + Math.min(this.lengthOf(number) - start, limit));
  }

  lengthOf(piece: number): number {
    return this.layout.places[piece * WORDS_PER_PLACE + 2] as number;
  }
}

/** Reads a body from start to end, slice by slice. */
export class BodyReader {
  readonly #body: BodyBytes;
  /** The piece that was read last and its offset in the body. The next read mostly continues there. */
  #piece = 0;
  #pieceStart = 0;

  constructor(body: BodyBytes) {
    this.#body = body;
  }

  get total(): number {
    return this.#body.length;
  }

  /**
   * Returns the next slice from `offset` on; an empty one at the end of the body. The slice is valid
   * until the next read of any reader in this thread.
   */
  read(offset: number): Buffer {
    // A body is empty if `metrics_exclude` names every family.
    if (offset >= this.total) return sliceBuffer.subarray(0, 0);
    this.#seek(offset);
    const first = this.#rest(offset);
    if (first.length >= IN_PLACE_BYTES) return first;
    let filled = 0;
    for (let at = offset; at < this.total; at = offset + filled) {
      this.#seek(at);
      const rest = this.#rest(at);
      if (rest.length >= IN_PLACE_BYTES || filled + rest.length > sliceBuffer.length) break;
      filled += rest.copy(sliceBuffer, filled);
    }
    return sliceBuffer.subarray(0, filled);
  }

  /** The rest of the current piece from `offset` on, at most one slice. */
  #rest(offset: number): Buffer {
    return this.#body.piece(this.#piece, offset - this.#pieceStart, SLICE_BYTES);
  }

  #seek(offset: number): void {
    while (offset < this.#pieceStart) this.#pieceStart -= this.#body.lengthOf(--this.#piece);
    for (;;) {
      const length = this.#body.lengthOf(this.#piece);
      if (offset < this.#pieceStart + length) return;
      this.#pieceStart += length;
      this.#piece++;
    }
  }
}
