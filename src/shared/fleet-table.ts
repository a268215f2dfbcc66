import { checkHost, type Host, INFO_FIELDS } from '../contract/host.ts';
import { type Shard, shardOf, WHOLE_FLEET } from '../contract/shard.ts';
import { RmError } from '../errors.ts';
import { HOST_FAMILIES, INFO_FAMILY } from './families.ts';
import {
  allocateFleetBuffer,
  DETAIL_DOUBLES,
  FLAG_ONLINE,
  FLAGS,
  type FleetMemory,
  INFO_LENGTH,
  MAX_PAGES,
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
  PENDING_HOSTS,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  VERSION,
  viewFleetBuffer,
} from './fleet-layout.ts';
import { markChangedFamilies, writeRow } from './fleet-row.ts';
import { escapeLabelValue } from './text-format.ts';
import { TextSlots } from './text-slots.ts';

/** A page with the state that only the writer has: its block and the sorted ids of its hosts. */
interface WriterPage {
  readonly block: number;
  readonly page: Page;
  readonly ids: string[];
}

/**
 * The hosts in the exposition, in shared memory (see `fleet-layout.ts`). Only the thread that
 * constructs this object writes to it. Other threads read it with a `FleetReader` on the same buffer.
 *
 * Pages hold up to 64 hosts, sorted by ULID. Adding a host moves at most the rows of one page, and
 * a reader copies only the pages that changed.
 */
export class FleetTable {
  readonly buffer: SharedArrayBuffer;
  readonly #memory: FleetMemory;
  readonly #text: TextSlots;
  readonly #pages: WriterPage[] = [];
  readonly #freeBlocks: number[] = [];
  readonly #shard: Shard;
  readonly #keepsInfo: boolean;
  readonly #keepsDetails: boolean;
  #blocksUsed = 0;
  #size = 0;

  /**
   * @param exclude names of families that no body shows; data that only they need is not kept
   * @param shard the part of the hosts that the table contains
   */
  constructor(
    buffer: SharedArrayBuffer = allocateFleetBuffer(),
    exclude: readonly string[] = [],
    shard: Shard = WHOLE_FLEET,
  ) {
    this.buffer = buffer;
    this.#shard = shard;
    const shown = HOST_FAMILIES.filter(({ name }) => !exclude.includes(name));
    this.#keepsDetails = shown.some(({ isDetail }) => isDetail);
    this.#keepsInfo = shown.some(({ hasInfoLabels }) => hasInfoLabels);
    this.#memory = viewFleetBuffer(buffer);
    this.#text = new TextSlots(this.#memory.text);
  }

  get size(): number {
    return this.#size;
  }

  /** Whether the host is in the shard that the table contains. */
  contains(hostId: string): boolean {
    return shardOf(hostId, this.#shard.count) === this.#shard.index;
  }

  /**
   * Adds a host or replaces all fields of a known one. The next scrape shows it. A host of another shard
   * is ignored.
   * @param apiBits what only the API shows, see `API_BITS` in `fleet-layout.ts`
   * @throws RmError `invalid_host`, `fleet_full`; the table is unchanged then
   */
  upsert(host: Host, apiBits = 0): void {
    checkHost(host);
    if (!this.contains(host.hostId)) return;
    const text = textsOf(host, this.#keepsInfo);
    const at = this.#pageFor(host.hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, host.hostId);
    if (owner !== undefined && owner.ids[row] === host.hostId) {
      this.#update(owner, row, host, apiBits, text);
    } else {
      this.#insert(at, row, host, apiBits, text);
    }
  }

  /** Sets how many hosts are enrolled and have no row yet. */
  setPending(hosts: number): void {
    Atomics.store(this.#memory.control, PENDING_HOSTS, hosts);
  }

  /**
   * Sets only the online flag of a host.
   * @returns whether the host is in the table
   */
  setOnline(hostId: string, online: boolean): boolean {
    const owner = this.#pages[this.#pageFor(hostId)];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page } = owner;
    const flags = page.word(FLAGS, row);
    const changed = online ? flags | FLAG_ONLINE : flags & ~FLAG_ONLINE;
    if (changed === flags) return true;
    withOddVersion(page.words, VERSION, () =>
      markChangedFamilies(page, row, () => page.setWord(FLAGS, row, changed)),
    );
    return true;
  }

  /**
   * Removes a host. The next scrape no longer shows it.
   * @returns whether the host was in the table
   */
  remove(hostId: string): boolean {
    const at = this.#pageFor(hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page, ids } = owner;
    withOddVersion(page.words, VERSION, () => {
      this.#text.free(page.word(TEXT_START, row), textLength(page, row));
      page.shift(row, -1);
      page.markAllFamilies();
    });
    ids.splice(row, 1);
    this.#size--;
    if (ids.length === 0) {
      withOddVersion(this.#memory.control, STRUCTURE_VERSION, () => this.#removeFromDirectory(at));
    }
    return true;
  }

  #update(owner: WriterPage, row: number, host: Host, apiBits: number, texts: Texts): void {
    const { page } = owner;
    const oldStart = page.word(TEXT_START, row);
    const oldLength = textLength(page, row);
    const oldBytes = this.#text.view(oldStart, oldLength);
    const hasNewText = !texts.bytes.equals(oldBytes);
    // An upsert that changes nothing must not mark the page, or readers would render it again.
    if (!hasNewText && !writeRow(page, row, host, apiBits, false)) return;
    const labelsAreOld = texts.bytes
      .subarray(0, texts.labelLength)
      .equals(oldBytes.subarray(0, page.word(TEXT_LENGTH, row)));
    const start = hasNewText ? this.#text.add(texts.bytes) : oldStart;
    withOddVersion(page.words, VERSION, () => {
      markChangedFamilies(page, row, () => writeRow(page, row, host, apiBits, true));
      if (!hasNewText) return;
      setTexts(page, row, start, texts);
      if (labelsAreOld) page.markFamily(INFO_FAMILY);
      else page.markAllFamilies();
      this.#text.free(oldStart, oldLength);
    });
  }

  #insert(at: number, row: number, host: Host, apiBits: number, texts: Texts): void {
    const start = this.#text.add(texts.bytes);
    const { page, ids, position } = this.#makeRoomOrFreeText(at, row, start, texts.bytes.length);
    withOddVersion(page.words, VERSION, () => {
      page.shift(position, 1);
      writeRow(page, position, host, apiBits, true);
      setTexts(page, position, start, texts);
      page.markAllFamilies();
    });
    ids.splice(position, 0, host.hostId);
    this.#size++;
  }

  #makeRoomOrFreeText(at: number, row: number, start: number, length: number) {
    try {
      return this.#makeRoom(at, row);
    } catch (error) {
      this.#text.free(start, length);
      throw error;
    }
  }

  /**
   * Returns a page with room for one more row, and the position of that row. The row belongs at
   * `row` of page `at`. If that page is full, it is split.
   */
  #makeRoom(at: number, row: number): WriterPage & { position: number } {
    const { control } = this.#memory;
    const full = this.#pages[at];
    if (full === undefined) {
      const page = this.#newPage();
      withOddVersion(control, STRUCTURE_VERSION, () => this.#addToDirectory(0, page));
      return { ...page, position: 0 };
    }
    if (full.ids.length < PAGE_ROWS) return { ...full, position: row };
    const next = this.#newPage();
    // New ULIDs are mostly the highest so far. Then the full page stays full and the new page takes
    // the rest.
    const keep = row === PAGE_ROWS ? PAGE_ROWS : PAGE_ROWS / 2;
    withOddVersion(control, STRUCTURE_VERSION, () => {
      withOddVersion(full.page.words, VERSION, () => {
        withOddVersion(next.page.words, VERSION, () => {
          full.page.moveTail(keep, next.page);
          full.page.markAllFamilies();
          next.page.markAllFamilies();
        });
      });
      this.#addToDirectory(at + 1, next);
    });
    next.ids.push(...full.ids.splice(keep));
    return row > keep || keep === PAGE_ROWS
      ? { ...next, position: row - keep }
      : { ...full, position: row };
  }

  #newPage(): WriterPage {
    const block = this.#freeBlocks.pop() ?? this.#blocksUsed;
    if (block === MAX_PAGES) {
      throw new RmError(
        'fleet_full',
        `upsert: all ${MAX_PAGES} pages of the fleet table are in use`,
      );
    }
    if (block === this.#blocksUsed) this.#blocksUsed++;
    const { pages, details } = this.#memory;
    const ofPage = details.subarray(block * DETAIL_DOUBLES, (block + 1) * DETAIL_DOUBLES);
    const at = pages.byteOffset + block * PAGE_BYTES;
    const page = new Page(pages.buffer, at, this.#keepsDetails ? ofPage : undefined);
    return { block, page, ids: [] };
  }

  #addToDirectory(at: number, page: WriterPage): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at + 1, at, this.#pages.length);
    directory[at] = page.block;
    this.#pages.splice(at, 0, page);
    control[PAGE_COUNT] = this.#pages.length;
  }

  #removeFromDirectory(at: number): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at, at + 1, this.#pages.length);
    const [removed] = this.#pages.splice(at, 1);
    if (removed !== undefined) this.#freeBlocks.push(removed.block);
    control[PAGE_COUNT] = this.#pages.length;
  }

  /**
   * Index of the page that contains `hostId` or would contain it: the last page whose first id is
   * not above it.
   */
  #pageFor(hostId: string): number {
    let low = 0;
    let high = this.#pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#pages[middle]?.ids[0];
      if (first !== undefined && first <= hostId) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** The two texts of a host, one after the other. */
interface Texts {
  readonly bytes: Buffer;
  /** Of the first text, in bytes. */
  readonly labelLength: number;
}

const INFO_LABELS = HOST_FAMILIES[INFO_FAMILY]?.labels.slice(-INFO_FIELDS.length) ?? [];

function textsOf(host: Host, withInfo: boolean): Texts {
  const labels = `host_id="${host.hostId}",host="${escapeLabelValue(host.host)}"`;
  const info = withInfo
    ? INFO_FIELDS.map((field, at) => `,${INFO_LABELS[at]}="${escapeLabelValue(host[field] ?? '')}"`)
    : [];
  return { bytes: Buffer.from(labels + info.join('')), labelLength: Buffer.byteLength(labels) };
}

/** Of both texts of a row, in bytes. */
function textLength(page: Page, row: number): number {
  return page.word(TEXT_LENGTH, row) + page.word(INFO_LENGTH, row);
}

function setTexts(page: Page, row: number, start: number, { bytes, labelLength }: Texts): void {
  page.setWord(TEXT_START, row, start);
  page.setWord(TEXT_LENGTH, row, labelLength);
  page.setWord(INFO_LENGTH, row, bytes.length - labelLength);
}

/**
 * Runs `change` while the version is odd, so that readers retry. `change` must not throw: the
 * version would stay odd.
 */
function withOddVersion(words: Int32Array, version: number, change: () => void): void {
  Atomics.add(words, version, 1);
  change();
  Atomics.add(words, version, 1);
}

/** The first index whose id is not below `id`. */
function lowerBound(ids: readonly string[], id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as string) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
