import { RmError } from '../errors.ts';
import {
  DETAIL_DOUBLES,
  INFO_LENGTH,
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
  PENDING_HOSTS,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  TEXT_UNIT,
  VERSION,
  viewFleetBuffer,
} from './fleet-layout.ts';
import { COPY_SLACK_BYTES, copyByEights, dataViewOf } from './text-format.ts';

const USUAL_TEXT_BYTES = 12 * 1024;

/**
 * A consistent copy of a page in this thread's own memory. A reader reuses one copy for all pages.
 */
export class PageCopy {
  version = 0;
  readonly bytes = new Uint8Array(PAGE_BYTES);
  readonly details = new Float64Array(DETAIL_DOUBLES);
  readonly page = new Page(this.bytes.buffer, 0, this.details);
  /** The two texts of each row, row after row, followed by spare room. */
  text = new DataView(new ArrayBuffer(0));
  /** End of the first text of each row in `text`, where its second text begins. */
  readonly labelEnds = new Uint32Array(PAGE_ROWS);
  /** End of the second text of each row, where the first text of the next row begins. */
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

// While the writer changes something, a reader first spins and then sleeps for 1 ms at a time.
const MAX_SPINS = 1_000;
// If the writer takes longer than all these sleeps, it has died in the middle of a change.
const MAX_NAPS = 5_000;
const MAX_ATTEMPTS = 5_000;

/**
 * Reads a fleet table that another thread writes. It may block: if the writer is in the middle of a
 * change, it waits for up to 5 s. So a loop must not use it.
 *
 * A reader never writes to the table and keeps nothing about its pages. A caller that caches what it
 * derived from a page stores the page's version and passes it to `copyIfChanged`.
 */
export class FleetReader {
  readonly #memory;
  readonly #sharedText: DataView;
  /** Exists only for the memory order of an atomic read-modify-write; see `#settled`. */
  readonly #fence = new Int32Array(1);

  constructor(buffer: SharedArrayBuffer) {
    this.#memory = viewFleetBuffer(buffer);
    const { text } = this.#memory;
    this.#sharedText = dataViewOf(text);
  }

  /** Hosts that are enrolled and have no row yet. */
  get pendingHosts(): number {
    return Atomics.load(this.#memory.control, PENDING_HOSTS);
  }

  /**
   * Calls `visit` with the blocks of all pages in use, in the order of their hosts. A block number
   * identifies a page for as long as the page is in use.
   *
   * If hosts moved to another page meanwhile, a visit may have missed some of them or have seen
   * them twice. In that case `visit` is called again.
   * @throws RmError `reading_contended` if the writer changed the structure during every attempt
   */
  read(visit: (blocks: Int32Array) => void): void {
    const { control, directory } = this.#memory;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const version = evenVersion(control, STRUCTURE_VERSION);
      const blocks = directory.slice(0, control[PAGE_COUNT]);
      if (!this.#settled(control, STRUCTURE_VERSION, version)) continue;
      visit(blocks);
      if (this.#settled(control, STRUCTURE_VERSION, version)) return;
    }
    throw new RmError(
      'reading_contended',
      'hosts were added or removed during every attempt to read the fleet table',
    );
  }

  /**
   * Fills `copy` with the current state of the page.
   * @returns false if the version of the page is still `known`; the contents of `copy` are
   * undefined then
   * @throws RmError `reading_contended` if the writer changed the page during every attempt
   */
  copyIfChanged(block: number, known: number | undefined, copy: PageCopy): boolean {
    const { words, pages, details } = this.#memory;
    const versionAt = (block * PAGE_BYTES) / Int32Array.BYTES_PER_ELEMENT + VERSION;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const version = evenVersion(words, versionAt);
      if (version === known) return false;
      copy.bytes.set(pages.subarray(block * PAGE_BYTES, (block + 1) * PAGE_BYTES));
      copy.details.set(details.subarray(block * DETAIL_DOUBLES, (block + 1) * DETAIL_DOUBLES));
      copy.version = version;
      if (this.#copyTexts(copy) && this.#settled(words, versionAt, version)) return true;
    }
    throw new RmError('reading_contended', `page ${block} changed during every attempt to read it`);
  }

  /**
   * Copies the texts of the rows.
   * @returns false if the page was read during a change and its text positions are out of range
   */
  #copyTexts(copy: PageCopy): boolean {
    const { page, labelEnds, textEnds } = copy;
    const { rowCount } = page;
    if (rowCount > PAGE_ROWS) return false;
    let length = 0;
    for (let row = 0; row < rowCount; row++) {
      length += page.word(TEXT_LENGTH, row);
      labelEnds[row] = length;
      length += page.word(INFO_LENGTH, row);
      textEnds[row] = length;
    }
    const readable = this.#sharedText.byteLength - COPY_SLACK_BYTES;
    if (length > readable) return false;
    copy.makeRoom(length);
    let at = 0;
    for (let row = 0; row < rowCount; row++) {
      const start = page.word(TEXT_START, row) * TEXT_UNIT;
      const end = start + page.word(TEXT_LENGTH, row) + page.word(INFO_LENGTH, row);
      if (end > readable) return false;
      at = copyByEights(this.#sharedText, start, end, copy.text, at);
    }
    return true;
  }

  /**
   * Returns whether the version is still the one loaded before the copy. With an atomic load alone,
   * an ARM processor could move the plain loads of the copy behind it. The read-modify-write in
   * between prevents that.
   */
  #settled(words: Int32Array, index: number, version: number): boolean {
    Atomics.add(this.#fence, 0, 1);
    return Atomics.load(words, index) === version;
  }
}

function evenVersion(words: Int32Array, index: number): number {
  for (let wait = 0; wait < MAX_SPINS + MAX_NAPS; wait++) {
    const version = Atomics.load(words, index);
    if ((version & 1) === 0) return version;
    if (wait >= MAX_SPINS) Atomics.wait(words, index, version, 1);
  }
  throw new RmError('reading_contended', 'the writer did not finish a change of the fleet table');
}
