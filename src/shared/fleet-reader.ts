import { RmError } from '../errors.ts';
import {
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  TEXT_UNIT,
  VERSION,
  viewFleetBuffer,
} from './fleet-layout.ts';
import { COPY_SLACK_BYTES, copyByEights, dataViewOf } from './text-format.ts';

const USUAL_TEXT_BYTES = 12 * 1024;

/** A page as it was at one moment, in this thread's own memory. To be filled by a reader, again and again. */
export class PageCopy {
  version = 0;
  readonly bytes = new Uint8Array(PAGE_BYTES);
  readonly page = new Page(this.bytes.buffer, 0);
  /** The label texts of its rows, one after the other, and room to spare. */
  text = new DataView(new ArrayBuffer(0));
  /** Where the text of row r ends in `text`; it begins where the one before ends. */
  readonly textEnds = new Uint32Array(PAGE_ROWS);

  constructor() {
    this.makeRoom(USUAL_TEXT_BYTES);
  }

  makeRoom(textBytes: number): void {
    if (textBytes + COPY_SLACK_BYTES <= this.text.byteLength) return;
    this.text = new DataView(new ArrayBuffer(textBytes + COPY_SLACK_BYTES));
  }

  get textLength(): number {
    return this.textEnds[this.page.rowCount - 1] ?? 0;
  }
}

const SPINS = 1_000;
const NAPS = 5_000; // of a millisecond: a writer that takes longer has died in the middle

/**
 * Reads a fleet table from another thread, and never writes to it. It keeps nothing: who does keep what
 * it made of a page remembers the page's version, and is given a copy only if that has moved on.
 */
export class FleetReader {
  readonly #memory;
  readonly #sharedText: DataView;
  /** Written to only for the memory order that an atomic read-modify-write brings; see `#settled`. */
  readonly #fence = new Int32Array(1);

  constructor(buffer: SharedArrayBuffer) {
    this.#memory = viewFleetBuffer(buffer);
    const { text } = this.#memory;
    this.#sharedText = dataViewOf(text);
  }

  /**
   * Has `visit` look at all pages in use, by their blocks: the numbers that name them while they are in use,
   * in the order of their hosts. Hosts that move to another page meanwhile must be neither missed nor seen
   * twice: then all are visited again.
   * @throws RmError `reading_contended` when the writer never held still
   */
  read(visit: (blocks: Int32Array) => void): void {
    const { control, directory } = this.#memory;
    for (let attempt = 0; attempt < NAPS; attempt++) {
      const version = evenVersion(control, STRUCTURE_VERSION);
      const blocks = directory.slice(0, control[PAGE_COUNT]);
      if (!this.#settled(control, STRUCTURE_VERSION, version)) continue;
      visit(blocks);
      if (this.#settled(control, STRUCTURE_VERSION, version)) return;
    }
    throw new RmError('reading_contended', 'hosts were added or removed under every reading');
  }

  /**
   * Fills `copy` with the page as it is now.
   * @returns false if its version is still `known`; `copy` means nothing then
   * @throws RmError `reading_contended`
   */
  copyIfChanged(block: number, known: number | undefined, copy: PageCopy): boolean {
    const { words, pages } = this.#memory;
    const versionAt = (block * PAGE_BYTES) / Int32Array.BYTES_PER_ELEMENT + VERSION;
    for (let attempt = 0; attempt < NAPS; attempt++) {
      const version = evenVersion(words, versionAt);
      if (version === known) return false;
      copy.bytes.set(pages.subarray(block * PAGE_BYTES, (block + 1) * PAGE_BYTES));
      copy.version = version;
      if (this.#copyTexts(copy) && this.#settled(words, versionAt, version)) return true;
    }
    throw new RmError('reading_contended', `page ${block} changed under every reading`);
  }

  /** @returns false if the page was caught half changed and points nowhere */
  #copyTexts(copy: PageCopy): boolean {
    const { page, textEnds } = copy;
    const { rowCount } = page;
    if (rowCount > PAGE_ROWS) return false;
    let length = 0;
    for (let row = 0; row < rowCount; row++) {
      length += page.word(TEXT_LENGTH, row);
      textEnds[row] = length;
    }
    const readable = this.#sharedText.byteLength - COPY_SLACK_BYTES;
    if (length > readable) return false;
    copy.makeRoom(length);
    let at = 0;
    for (let row = 0; row < rowCount; row++) {
      const start = page.word(TEXT_START, row) * TEXT_UNIT;
      const end = start + page.word(TEXT_LENGTH, row);
      if (end > readable) return false;
      at = copyByEights(this.#sharedText, start, end, copy.text, at);
    }
    return true;
  }

  /**
   * Whether the version is still the one taken before the copy. An atomic load alone would let ARM move
   * the copy's plain loads behind it; the read-modify-write between them keeps them in front.
   */
  #settled(words: Int32Array, index: number, version: number): boolean {
    Atomics.add(this.#fence, 0, 1);
    return Atomics.load(words, index) === version;
  }
}

function evenVersion(words: Int32Array, index: number): number {
  for (let wait = 0; wait < SPINS + NAPS; wait++) {
    const version = Atomics.load(words, index);
    if ((version & 1) === 0) return version;
    if (wait >= SPINS) Atomics.wait(words, index, version, 1);
  }
  throw new RmError('reading_contended', 'a change of the fleet table was never finished');
}
