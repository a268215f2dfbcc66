import { RmError } from '../errors.ts';
import {
  PAGE_BYTES,
  PAGE_COUNT,
  Page,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  TEXT_UNIT,
  VERSION,
  viewFleetBuffer,
} from './fleet-layout.ts';

/** A page as it was at one moment, in this thread's own memory. */
export interface PageCopy {
  /** Names the page from one reading to the next. */
  readonly block: number;
  readonly page: Page;
  /** The label texts of its rows, one after the other. */
  readonly text: Buffer;
  /** Where the text of row r ends in `text`; it begins where the one before ends. */
  readonly textEnds: Uint32Array;
  readonly version: number;
}

const SPINS = 1_000;
const NAPS = 5_000; // of a millisecond: a writer that takes longer has died in the middle

/**
 * Reads a fleet table from another thread, and never writes to it. Copies of pages are kept from one
 * reading to the next, so that only pages that changed in between are copied again.
 */
export class FleetReader {
  readonly #memory;
  readonly #copies = new Map<number, PageCopy>();
  /** Written to only for the memory order that an atomic read-modify-write brings; see `#settled`. */
  readonly #fence = new Int32Array(1);

  constructor(buffer: SharedArrayBuffer) {
    this.#memory = viewFleetBuffer(buffer);
  }

  /**
   * The pages in the order of their hosts. Each page is one moment's state, no older than the call.
   * @throws RmError `reading_contended` when the writer never held still
   */
  read(): PageCopy[] {
    const { control, directory } = this.#memory;
    for (let attempt = 0; attempt < NAPS; attempt++) {
      const version = evenVersion(control, STRUCTURE_VERSION);
      const blocks = directory.slice(0, control[PAGE_COUNT]);
      if (!this.#settled(control, STRUCTURE_VERSION, version)) continue;
      const pages = Array.from(blocks, (block) => this.#copy(block));
      if (this.#settled(control, STRUCTURE_VERSION, version)) {
        this.#forgetAllBut(blocks);
        return pages;
      }
    }
    throw new RmError('reading_contended', 'hosts were added or removed under every reading');
  }

  #copy(block: number): PageCopy {
    const { pages } = this.#memory;
    const shared = new Int32Array(pages.buffer, pages.byteOffset + block * PAGE_BYTES, VERSION + 1);
    const known = this.#copies.get(block);
    for (let attempt = 0; attempt < NAPS; attempt++) {
      const version = evenVersion(shared, VERSION);
      if (known?.version === version) return known;
      const bytes = pages.slice(block * PAGE_BYTES, (block + 1) * PAGE_BYTES);
      const page = new Page(bytes.buffer, 0);
      const texts = this.#texts(page);
      if (texts !== undefined && this.#settled(shared, VERSION, version)) {
        const copy = { block, page, ...texts, version };
        this.#copies.set(block, copy);
        return copy;
      }
    }
    throw new RmError('reading_contended', `page ${block} changed under every reading`);
  }

  /** Undefined if the page was caught half changed and points nowhere. */
  #texts(page: Page): { text: Buffer; textEnds: Uint32Array } | undefined {
    const textEnds = new Uint32Array(page.rowCount);
    let end = 0;
    for (let row = 0; row < textEnds.length; row++) {
      end += page.word(TEXT_LENGTH, row);
      textEnds[row] = end;
    }
    if (end > this.#memory.text.length) return undefined;
    const text = Buffer.allocUnsafeSlow(end);
    let at = 0;
    for (let row = 0; row < textEnds.length; row++) {
      const start = page.word(TEXT_START, row) * TEXT_UNIT;
      text.set(this.#memory.text.subarray(start, start + page.word(TEXT_LENGTH, row)), at);
      at = textEnds[row] as number;
    }
    return { text, textEnds };
  }

  /**
   * Whether the version is still the one taken before the copy. An atomic load alone would let ARM move
   * the copy's plain loads behind it; the read-modify-write between them keeps them in front.
   */
  #settled(words: Int32Array, index: number, version: number): boolean {
    Atomics.add(this.#fence, 0, 1);
    return Atomics.load(words, index) === version;
  }

  #forgetAllBut(blocks: Int32Array): void {
    if (this.#copies.size === blocks.length) return;
    const used = new Set(blocks);
    for (const block of this.#copies.keys()) if (!used.has(block)) this.#copies.delete(block);
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
