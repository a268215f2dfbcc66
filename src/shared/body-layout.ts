/** Where the pieces of a body are, in memory that both threads share. */
export interface BodyLayout {
  readonly segments: readonly SharedArrayBuffer[];
  /** Of each piece in its order: the index of the segment, the offset in it, and the length. */
  readonly places: Uint32Array;
  /** Of all pieces together. */
  readonly byteLength: number;
}

export const WORDS_A_PLACE = 3;

/** A piece at least this large is read in place; smaller ones that follow one another are put together. */
const IN_PLACE_BYTES = 16 * 1024;
/** Bytes read at a time, at the most: handing over more at once would keep the loop from its other work. */
const SLICE_BYTES = 128 * 1024;
/** For small pieces. What is read is to be used up before the next is read, by whoever. */
const together = Buffer.allocUnsafeSlow(SLICE_BYTES);

/** A body as bytes, for as many readers as like. */
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

  /** The bytes of the piece with that number from `start` on, `limit` of them at the most. */
  piece(number: number, start: number, limit: number): Buffer {
    const at = number * WORDS_A_PLACE;
    const segment = this.#segments[this.layout.places[at] as number] as Buffer;
    const offset = (this.layout.places[at + 1] as number) + start;
    return segment.subarray(offset, offset + Math.min(this.lengthOf(number) - start, limit));
  }

  lengthOf(piece: number): number {
    return this.layout.places[piece * WORDS_A_PLACE + 2] as number;
  }
}

/** Reads a body from start to end, slice by slice. */
export class BodyReader {
  readonly #body: BodyBytes;
  /** The piece that was read last, and where it starts: mostly the next read goes on there. */
  #piece = 0;
  #start = 0;

  constructor(body: BodyBytes) {
    this.#body = body;
  }

  get total(): number {
    return this.#body.length;
  }

  /** Some bytes from `offset` on, as many as are well handed over at once; good until the next read. */
  read(offset: number): Buffer {
    this.#seek(offset);
    const first = this.#rest(offset);
    if (first.length >= IN_PLACE_BYTES) return first;
    let filled = 0;
    for (let at = offset; at < this.total; at = offset + filled) {
      this.#seek(at);
      const rest = this.#rest(at);
      if (rest.length >= IN_PLACE_BYTES || filled + rest.length > together.length) break;
      filled += rest.copy(together, filled);
    }
    return together.subarray(0, filled);
  }

  /** What the piece that `offset` is in holds from there on, as far as one slice goes. */
  #rest(offset: number): Buffer {
    return this.#body.piece(this.#piece, offset - this.#start, SLICE_BYTES);
  }

  #seek(offset: number): void {
    while (offset < this.#start) this.#start -= this.#body.lengthOf(--this.#piece);
    for (;;) {
      const length = this.#body.lengthOf(this.#piece);
      if (offset < this.#start + length) return;
      this.#start += length;
      this.#piece++;
    }
  }
}
