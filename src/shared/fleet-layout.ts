import { ALERT_KINDS } from '../contract/alert-kinds.ts';

/*
 * Layout of the fleet table in shared memory. The thread that writes it and the threads that read
 * it both take their offsets from here.
 *
 *   control    a few 32-bit words
 *   directory  the blocks of the pages in use, in the order of their hosts
 *   pages      PAGE_ROWS hosts each, sorted by ULID: a block of numbers, column after column
 *   details    further columns of each page, by the same block; not used if no family shows them
 *   text       two texts of each host, escaped, in units of TEXT_UNIT bytes: its labels `host_id="…",host="…"`,
 *              followed by the further labels of `rm_host_info`, `,agent_version="…",…`
 *
 * All of it is reserved at the start, and the operating system zeroes it lazily. Memory for hosts
 * that do not exist is therefore never used, and no thread has to switch to a larger buffer.
 *
 * A page has one mark per family over hosts. The writer increments the mark when the rows of that
 * family may have changed. Most changes touch one or two families, so a reader can reuse the rows
 * that it rendered for the others.
 *
 * Versions implement a seqlock. The writer makes a version odd before a change and even after it.
 * STRUCTURE_VERSION protects the directory and the assignment of hosts to pages. VERSION of a page
 * protects its rows and their text. A reader loads the version, copies, and loads the version
 * again. If both loads return the same even number, the copy is consistent.
 */
export const PAGE_ROWS = 64;
export const MAX_PAGES = 32_768;
export const TEXT_UNIT = 32;
const TEXT_BYTES_RESERVED = 256 * 1024 * 1024;

// control, 32-bit words
export const STRUCTURE_VERSION = 0;
export const PAGE_COUNT = 1;
export const PENDING_HOSTS = 2; // enrolled, never connected: they have no row
const CONTROL_BYTES = 64;

// a page: a header and integer columns in 32-bit words, then columns of doubles
export const VERSION = 0;
export const ROW_COUNT = 1;
const FAMILY_MARKS = 2; // a word for each family over hosts, up to the end of the header
const PAGE_HEADER_WORDS = 16;
export const MAX_FAMILY_MARKS = PAGE_HEADER_WORDS - FAMILY_MARKS;

export const WORD_COLUMNS = 8;
export const TEXT_START = 0; // in units of TEXT_UNIT
export const TEXT_LENGTH = 1; // in bytes, of the first text
export const FLAGS = 2;
export const ALERTS_CRITICAL = 3;
export const ALERTS_INFO = 4;
export const ALERTS_WARNING = 5;
export const INFO_LENGTH = 6; // in bytes, of the second text
export const API_BITS = 7; // no family shows them: a bit for each open kind of alert, then IS_PENDING

export const DOUBLE_COLUMNS = 3;
export const LAST_BACKUP_MS = 0;
export const REPO_SIZE = 1;
export const SNAPSHOTS = 2;

// the details of a page: columns of doubles, NaN where the family has no row
export const DETAIL_COLUMNS = 5;
export const BACKUP_INTERVAL_SECONDS = 0;
export const BACKUP_ADDED_BYTES = 1;
export const BACKUP_DURATION_MS = 2;
export const BACKUP_SUCCESS_MS = 3;
export const CHECK_SUCCESS_MS = 4;

/** Bit of API_BITS: the host is pending. Only a table that is not rendered contains such hosts. */
export const IS_PENDING = 1 << ALERT_KINDS.length;
export const ALERT_BITS = IS_PENDING - 1;

export const FLAG_ONLINE = 1;
export const FLAG_HAS_BACKUP = 2;
export const FLAG_BACKUP_SUCCEEDED = 4;
export const FLAG_HAS_REPO_SIZE = 8;
export const FLAG_REPORTS_BY_HTTP = 16;
export const REPO_STATUS_SHIFT = 5; // an index into REPO_STATUSES

export const PAGE_WORDS = PAGE_HEADER_WORDS + WORD_COLUMNS * PAGE_ROWS;
export const PAGE_DOUBLES = DOUBLE_COLUMNS * PAGE_ROWS;
export const PAGE_BYTES = PAGE_WORDS * 4 + PAGE_DOUBLES * 8;

export const DETAIL_DOUBLES = DETAIL_COLUMNS * PAGE_ROWS;

const DIRECTORY_BYTES = MAX_PAGES * 4;
const PAGES_OFFSET = CONTROL_BYTES + DIRECTORY_BYTES;
const DETAILS_OFFSET = PAGES_OFFSET + MAX_PAGES * PAGE_BYTES;
const TEXT_OFFSET = DETAILS_OFFSET + MAX_PAGES * DETAIL_DOUBLES * 8;

export interface FleetMemory {
  readonly control: Int32Array;
  readonly directory: Int32Array;
  /** All pages, twice: as bytes, to copy a page at once, and as words, to read versions. */
  readonly pages: Uint8Array;
  readonly words: Int32Array;
  readonly details: Float64Array;
  readonly text: Uint8Array;
}

export function allocateFleetBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer(TEXT_OFFSET + TEXT_BYTES_RESERVED);
}

export function viewFleetBuffer(buffer: SharedArrayBuffer): FleetMemory {
  return {
    control: new Int32Array(buffer, 0, CONTROL_BYTES / 4),
    directory: new Int32Array(buffer, CONTROL_BYTES, MAX_PAGES),
    pages: new Uint8Array(buffer, PAGES_OFFSET, MAX_PAGES * PAGE_BYTES),
    words: new Int32Array(buffer, PAGES_OFFSET, (MAX_PAGES * PAGE_BYTES) / 4),
    details: new Float64Array(buffer, DETAILS_OFFSET, MAX_PAGES * DETAIL_DOUBLES),
    text: new Uint8Array(buffer, TEXT_OFFSET, TEXT_BYTES_RESERVED),
  };
}

/** The columns of one page, in shared memory or in a copy that belongs to a reader. */
export class Page {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  /** Undefined if no family shows them. */
  readonly details: Float64Array | undefined;

  constructor(buffer: ArrayBufferLike, byteOffset: number, details: Float64Array | undefined) {
    this.words = new Int32Array(buffer, byteOffset, PAGE_WORDS);
    this.doubles = new Float64Array(buffer, byteOffset + PAGE_WORDS * 4, PAGE_DOUBLES);
    this.details = details;
  }

  get rowCount(): number {
    return this.words[ROW_COUNT] as number;
  }

  /**
   * The mark of the family with this index in `HOST_FAMILIES`. It wraps around, so a reader may
   * only compare it for equality.
   */
  familyMark(family: number): number {
    return this.words[FAMILY_MARKS + family] as number;
  }

  markFamily(family: number): void {
    this.words[FAMILY_MARKS + family] = (this.familyMark(family) + 1) | 0;
  }

  markAllFamilies(): void {
    for (let family = 0; family < MAX_FAMILY_MARKS; family++) this.markFamily(family);
  }

  word(column: number, row: number): number {
    return this.words[PAGE_HEADER_WORDS + column * PAGE_ROWS + row] as number;
  }

  double(column: number, row: number): number {
    return this.doubles[column * PAGE_ROWS + row] as number;
  }

  detail(column: number, row: number): number {
    return this.details?.[column * PAGE_ROWS + row] ?? Number.NaN;
  }

  setWord(column: number, row: number, value: number): void {
    this.words[PAGE_HEADER_WORDS + column * PAGE_ROWS + row] = value;
  }

  setDouble(column: number, row: number, value: number): void {
    this.doubles[column * PAGE_ROWS + row] = value;
  }

  setDetail(column: number, row: number, value: number): void {
    if (this.details !== undefined) this.details[column * PAGE_ROWS + row] = value;
  }

  /**
   * Inserts an empty row at `row` (`by` 1) or removes that row (`by` -1), and updates the row
   * count.
   */
  shift(row: number, by: 1 | -1): void {
    const count = this.rowCount;
    const from = by === 1 ? row : row + 1;
    for (let column = 0; column < WORD_COLUMNS; column++) {
      const start = PAGE_HEADER_WORDS + column * PAGE_ROWS;
      this.words.copyWithin(start + from + by, start + from, start + count);
    }
    for (let column = 0; column < DOUBLE_COLUMNS; column++) {
      const start = column * PAGE_ROWS;
      this.doubles.copyWithin(start + from + by, start + from, start + count);
    }
    for (let column = 0; column < DETAIL_COLUMNS; column++) {
      const start = column * PAGE_ROWS;
      this.details?.copyWithin(start + from + by, start + from, start + count);
    }
    this.words[ROW_COUNT] = count + by;
  }

  /** Moves the rows from `first` on to the start of `to`, which must be empty. */
  moveTail(first: number, to: Page): void {
    const moved = this.rowCount - first;
    for (let row = 0; row < moved; row++) {
      for (let column = 0; column < WORD_COLUMNS; column++) {
        to.setWord(column, row, this.word(column, first + row));
      }
      for (let column = 0; column < DOUBLE_COLUMNS; column++) {
        to.setDouble(column, row, this.double(column, first + row));
      }
      for (let column = 0; column < DETAIL_COLUMNS; column++) {
        to.setDetail(column, row, this.detail(column, first + row));
      }
    }
    this.words[ROW_COUNT] = first;
    to.words[ROW_COUNT] = moved;
  }
}
